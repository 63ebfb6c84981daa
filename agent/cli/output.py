"""How commands speak: tables for people, JSON for programs, notes on stderr.

What a service or another program wrote is untrusted: cells are plain text without markup, and
control characters are escaped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import typer

from agent.words import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

PLAIN_WIDTH = 160
"""Of a table that goes to a file or another program."""

LOUD = {"failed": "red", "cancelled": "yellow", "completed": "green", "paused": "yellow"}


def console(*, stderr: bool = False) -> Console:
    """Where people read: without markup, so that a text is what it says."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    told = stream.isatty() or "COLUMNS" in os.environ
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if told else PLAIN_WIDTH,
    )


def say(text: str) -> None:
    """One line on stdout."""
    typer.echo(text)


def note(text: str) -> None:
    """A line on stderr for each line of the text: what is wrong, or good to know."""
    for line in text.splitlines() or [""]:
        typer.echo(f"agent: {visible(line)}", err=True)


def say_json(value: Any) -> None:
    """A value as extended JSON on stdout."""
    from agent.store.ejson import to_json

    typer.echo(to_json(value, indent=2))


def new_table(columns: Sequence[str], *, right: Iterable[str] = ()) -> Table:
    """A table with these headings; those of `right` hold numbers. None of them is cut."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    numbers = frozenset(right)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def add_row(table: Table, *cells: object) -> None:
    """A row of plain text; a status has its colour."""
    from rich.text import Text

    words = [visible(str(cell)) for cell in cells]
    table.add_row(*(Text(word, style=LOUD.get(word, "")) for word in words))


class Bar:
    """How far something long is, on a terminal's stderr; nothing elsewhere.

    Args:
        total: None: it is not known.
    """

    def __init__(self, what: str, total: int | None, *, shown: bool) -> None:
        self._progress: Progress | None = None
        if shown and sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                console=console(stderr=True),
                transient=True,
            )
            self._line = self._progress.add_task(what, total=total)

    def tell(self, done: int, *, total: int | None = None) -> None:
        """So many are done, of so many if that was not known."""
        if self._progress is not None:
            self._progress.update(self._line, completed=done, total=total)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def id_word(context_id: Any) -> str:
    """An id as it can be given back to a command: strings as they are, an ObjectId's digits, else
    extended JSON."""
    from agent.store.ejson import to_json

    if isinstance(context_id, str):
        return context_id
    if type(context_id).__name__ in ("ObjectId", "UUID"):
        return str(context_id)
    return to_json(context_id)
