"""The page `docs/cli.md`: it has an example of every command, and each is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agent.cli.app import app
from agent.cli.arguments import fill_in_wait

PAGE = (Path(__file__).parents[3] / "docs/cli.md").read_text(encoding="utf-8")
ROOT: Any = typer.main.get_command(app)


def examples() -> list[list[str]]:
    """The words of its lines that begin with `agent`."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("agent ")]


def all_verbs(command: Any = ROOT, *path: str) -> dict[tuple[str, ...], Any]:
    """Every command that does something, by its words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {path: command}
    found: dict[tuple[str, ...], Any] = {}
    for name, each in inner.items():
        found |= all_verbs(each, *path, name)
    return found


VERBS = all_verbs()


def verb_of(words: list[str]) -> tuple[str, ...]:
    return next((path for path in VERBS if tuple(words[: len(path)]) == path), ())


@pytest.mark.parametrize("words", examples(), ids=" ".join)
def test_an_example_is_a_command_with_its_options(words: list[str]) -> None:
    """Every option is there, and has its value."""
    verb = verb_of(words)
    assert verb
    command = VERBS[verb]
    arguments = fill_in_wait(words)[len(verb) :]
    given, rest, _ = command.make_parser(command.context_class(command)).parse_args(arguments)
    needed = {each.name for each in command.params if each.required}
    assert needed <= {name for name, value in given.items() if value}
    assert not rest


def test_every_command_has_an_example() -> None:
    """A new one wants its line."""
    assert {verb_of(words) for words in examples()} == set(VERBS)


def test_every_command_explains_itself() -> None:
    """What it does, its exit codes, and every option and argument."""
    for verb, command in VERBS.items():
        assert command.help, verb
        assert command.epilog, verb
        assert all(each.help or each.name == "help" for each in command.params), verb
