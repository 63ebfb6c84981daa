"""`agent run-now`: no more waiting."""

from __future__ import annotations

import typer

from agent.cli.exits import FAILED
from agent.cli.opened import for_each, opened
from agent.cli.options import AsJson, Ids
from agent.cli.output import id_word, say, say_json


def run_now(ids: Ids, *, as_json: AsJson = False) -> None:
    """Make scheduled contexts pending at once, whatever they wait for."""
    hurried: list[object] = []
    with opened() as found:

        def act(word: str) -> None:
            context_id = found.find(word)
            found.repository.run_now(context_id)
            hurried.append(context_id)
            if not as_json:
                say(f"{id_word(context_id)} pending")

        fine = for_each(ids, act)
        found.ring()
    if as_json:
        say_json({"pending": hurried})
    if not fine:
        raise typer.Exit(FAILED)
