"""`--all`: which contexts are meant, how many they are, and whether that is really wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from agent.cli.arguments import read_past, read_status, read_tag
from agent.cli.exits import FAILED, FINE
from agent.cli.output import Bar, note, say, say_json
from agent.errors import RequestInvalid

if TYPE_CHECKING:
    from agent.cli.opened import Opened
    from agent.store.bulk import OnProgress, Progress
    from agent.store.pace import Pace
    from agent.store.selection import Selection

COUNTED = 100_000
"""Contexts that a preview counts; of more it says so."""
FIELDS = {"service": "service_type", "error": "error_type", "template": "template_id",
          "user": "user_id"}  # fmt: skip
"""What an option is called as a part of a selection, where that differs."""
LONG = 500
"""From so many on a bar is worth looking at."""

Everything = Annotated[
    bool, typer.Option("--all", help="All that match the options below, in place of ids.")
]
OfStatus = Annotated[
    str | None,
    typer.Option("--status", metavar="STATUS", help="Only in this one.", show_default=False),
]
OfTemplate = Annotated[
    str | None,
    typer.Option("--template", metavar="ID", help="Only of this template.", show_default=False),
]
OfUser = Annotated[
    str | None, typer.Option("--user", metavar="ID", help="Only for this one.", show_default=False)
]
Limit = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="So many at most.", show_default=False)
]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N", help="So many a second. The command runs as long.", show_default=False
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is really wanted.")]


def since_option(what: str) -> Any:
    """`--since`, of the time that the verb means."""
    return typer.Option(
        "--since",
        metavar="TIME",
        help=f"Only what {what} since: 2030-01-31T12:00:00Z, or 2h for 2 hours ago.",
        show_default=False,
    )


def until_option(what: str) -> Any:
    """`--until`, likewise."""
    return typer.Option(
        "--until", metavar="TIME", help=f"Only what {what} until then.", show_default=False
    )


def choose(ids: list[str] | None, everything: bool, narrowed: dict[str, Any]) -> list[str] | None:
    """The ids; None when all that match are meant.

    Raises:
        RequestInvalid: neither, both, or an option that goes with --all alone.
    """
    given = [name for name, value in narrowed.items() if value not in (None, False)]
    if everything and ids:
        raise RequestInvalid("give ids or --all, not both")
    if not everything and given:
        raise RequestInvalid(f"--{given[0].replace('_', '-')}: goes with --all only")
    if not everything and not ids:
        raise RequestInvalid("give ids, or --all")
    return None if everything else ids


def read_selection(found: Opened, words: dict[str, str | None]) -> Selection:
    """What the words of the options, by their names, select.

    Raises:
        RequestInvalid: one cannot be read; the message names it.
    """
    from agent.store.selection import Selection

    now = found.repository.now()
    given = {name: word for name, word in words.items() if word is not None}
    readers: dict[str, Callable[[str], Any]] = {
        "service": lambda word: service_name(found, word),
        "status": lambda word: read_status("--status", word),
        "tag": read_tag,
        "since": lambda word: read_past("--since", word, now),
        "until": lambda word: read_past("--until", word, now),
    }
    read = {name: readers.get(name, str)(word) for name, word in given.items()}
    return Selection(**{FIELDS.get(name, name): value for name, value in read.items()})


def service_name(found: Opened, word: str) -> str:
    """The name of a service in any case of letters; of one that is not registered any more as it
    is."""
    service = found.settings.registry.find(word)
    return word if service is None else service.name


class Act(Protocol):
    """A change of all that match."""

    def __call__(
        self, selection: Selection, *, limit: int | None, pace: Pace, on_progress: OnProgress
    ) -> Progress: ...


@dataclass(frozen=True, slots=True)
class Bulk:
    """One verb for all that match.

    Args:
        verb: as people say it: `retry`.
        done: what is told in the end, `retried`; also the name of its count in JSON.
    """

    verb: str
    done: str
    count: Callable[..., int]
    act: Act

    def run(
        self,
        found: Opened,
        selection: Selection,
        *,
        limit: int | None,
        rate: float | None,
        dry_run: bool,
        yes: bool,
        as_json: bool,
    ) -> int:
        """Count, ask, do it, and tell; the exit code."""
        from agent.store.pace import Pace

        pace = Pace(rate)
        count = self.count(selection, up_to=COUNTED + 1)
        total = count if limit is None else min(count, limit)
        if dry_run:
            if as_json:
                say_json({"matching": min(count, COUNTED), "is_exact": count <= COUNTED})
            else:
                say(f"would {self.verb} {_many(total)}")
            return FINE
        if total and not yes and not _is_wanted(f"{self.verb} {_many(total)}?"):
            note(f"nothing was {self.done}")
            return FAILED
        progress = self._act(found, selection, total, limit, pace)
        self._tell(progress, as_json=as_json)
        return FAILED if progress is not None and progress.refused else FINE

    def _act(
        self, found: Opened, selection: Selection, total: int, limit: int | None, pace: Pace
    ) -> Progress | None:
        if not total:
            return None
        last: list[Progress] = []
        try:
            with Bar(self.done, total if total <= COUNTED else None, shown=total > LONG) as bar:

                def tell(progress: Progress) -> None:
                    last[:] = [progress]
                    bar.tell(progress.changed)

                progress = self.act(selection, limit=limit, pace=pace, on_progress=tell)
        except BaseException:
            for progress in last:
                note(
                    f"{_many(progress.changed)} {self.done} before it ended; to do the rest, "
                    f"run it again with --until {progress.until.isoformat()}"
                )
            raise
        finally:
            if last:
                found.ring("foreign")  # some may have to be adopted now
                found.ring("settle")  # or are steps, for which others wait
        return progress

    def _tell(self, progress: Progress | None, *, as_json: bool) -> None:
        skipped = {} if progress is None else {
            "moved_on": progress.moved_on, "refused": progress.refused,
        }  # fmt: skip
        if as_json:
            say_json(
                {
                    "matched": 0 if progress is None else progress.matched,
                    self.done: 0 if progress is None else progress.changed,
                    "skipped": {name: count for name, count in skipped.items() if count},
                    "until": None if progress is None else progress.until,
                }
            )
            return
        if progress is None:
            say("no such context")
            return
        say(f"{_many(progress.changed)} {self.done}")
        if progress.moved_on:
            note(f"{_many(progress.moved_on)} left as they are: somebody else changed them")
        if progress.refused:
            note(f"{_many(progress.refused)} left as they are: MongoDB refuses to change them")


def _many(count: int) -> str:
    if count > COUNTED:
        return f"more than {COUNTED:,} contexts"
    return "1 context" if count == 1 else f"{count:,} contexts"


def _is_wanted(question: str) -> bool:
    """Ask on stderr, so that stdout holds what was asked for and nothing else."""
    if not sys.stdin.isatty():
        raise RequestInvalid(f"{question} Nobody can be asked here: add --yes, or --dry-run")
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
