"""How the demo tells what goes on: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

EVERY_SECONDS = 2.0


class Teller(Protocol):
    """Tells how far each service is."""

    def tell(self, done: Mapping[str, int]) -> None:
        """So many contexts of each service are final."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def teller(console: Console, totals: Mapping[str, int], began: float) -> Teller:
    """The one that suits where the output goes."""
    return Bars(console, totals) if console.is_terminal else Remarks(console, totals, began)


class Bars:
    """A bar for each service."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._progress = Progress(
            TextColumn("  {task.description:<14}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {
            name: self._progress.add_task(name, total=total) for name, total in totals.items()
        }
        self._stack = ExitStack()

    def tell(self, done: Mapping[str, int]) -> None:
        """Move the bars."""
        for name, task in self._tasks.items():
            self._progress.update(task, completed=done.get(name, 0))

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class Remarks:
    """A line every two seconds, and one when all is done."""

    def __init__(self, console: Console, totals: Mapping[str, int], began: float) -> None:
        self._console = console
        self._totals = totals
        self._began = began
        self._last = float("-inf")

    def tell(self, done: Mapping[str, int]) -> None:
        """Print a line, if it is time for one."""
        now = time.monotonic()
        all_done = all(done.get(name, 0) >= total for name, total in self._totals.items())
        if now - self._last < EVERY_SECONDS and not all_done:
            return
        self._last = now
        parts = (f"{name} {done.get(name, 0)}/{total}" for name, total in self._totals.items())
        self._console.print(f"{now - self._began:5.1f} s  {', '.join(parts)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None
