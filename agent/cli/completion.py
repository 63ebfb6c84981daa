"""`agent completion`: the script by which a shell completes verbs and options."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

VARIABLE = "_AGENT_COMPLETE"
"""By which a shell asks what a word may become."""


class Shell(StrEnum):
    """A shell that can ask."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[
        Shell, typer.Argument(metavar="bash|zsh|fish", help="Which one.", show_default=False)
    ],
) -> None:
    """Print the script that completes verbs and options in a shell.

    In ~/.bashrc or ~/.zshrc: eval "$(agent completion bash)", or zsh. In fish:
    agent completion fish > ~/.config/fish/completions/agent.fish
    """
    from typer.completion import shell_complete

    know_shells()
    root = context.find_root()
    raise typer.Exit(shell_complete(root.command, {}, "agent", VARIABLE, f"source_{shell}"))


def is_asked() -> bool:
    """Whether a shell asks this process."""
    return VARIABLE in os.environ


def know_shells() -> None:
    """Have typer know the shells, as it otherwise does along with options that write into the
    files of a shell."""
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()
