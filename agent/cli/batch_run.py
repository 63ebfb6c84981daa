"""`agent batch run`: a file of rows in, and a result for each of them out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from agent.cli.arguments import check_times, read_object, read_tags, read_time
from agent.cli.exits import FAILED, FINE
from agent.cli.opened import OWNER, Opened, opened
from agent.cli.options import AsJson, NotBefore, Priority, Tags
from agent.cli.output import Bar, note, say, say_json
from agent.errors import RequestInvalid

if TYPE_CHECKING:
    from agent.intake.batches import Created
    from agent.intake.rows import RowFormat
    from agent.models import Document

BLOCK_BYTES = 1 << 20
LOOK_SECONDS = 0.25
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
STDIN = "-"

Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="csv|jsonl", help="Else by the name of the file.", show_default=False
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="FILE",
        help="Write a line for each item there: JSON, or CSV where the name ends so.",
        show_default=False,
    ),
]


def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Rows as CSV or JSON lines; - for stdin.")
    ],
    *,
    template: Annotated[
        str | None, typer.Option(metavar="ID", help="A stored template.", show_default=False)
    ] = None,
    template_version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Of it; else the newest.", show_default=False),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A stored purpose, in its place.", show_default=False),
    ] = None,
    format: Format = None,
    mode: Annotated[
        str, typer.Option(metavar="each|whole", help="A request for each row, or one for all.")
    ] = "each",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="What goes for all rows: JSON, or @file.", show_default=False
        ),
    ] = None,
    priority: Priority = None,
    at: NotBefore = None,
    deadline: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Fail what has not begun by then.", show_default=False),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of each; else its service's.", show_default=False),
    ] = None,
    tag: Tags = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The same file again under it within a day makes nothing new.",
            show_default=False,
        ),
    ] = None,
    unique_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="While a batch with this key is not final, there is no other.",
            show_default=False,
        ),
    ] = None,
    results: Results = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until all of it is final.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Store a batch of the rows in a file, wait until each is final, and write the results.

    A row that is wrong costs only itself, and is told by its number. Ctrl-C ends the waiting, not
    the batch. Exit code 0 if all items were completed, 1 if not.
    """
    if results is not None and not wait:
        raise RequestInvalid("--results: there are none before the end; leave out --no-wait")
    if idempotency_key is not None:
        check_times({"--at": at, "--deadline": deadline})
    asked: dict[str, Any] = {
        "template_id": template,
        "template_version": template_version,
        "purpose_id": purpose,
        "mode": mode,
        "data": read_object("--data", data) if data is not None else None,
        "priority": priority,
        "max_attempts": max_attempts,
        "tags": read_tags(tag) if tag else None,
        "idempotency_key": idempotency_key,
        "unique_key": unique_key,
    }
    with _open_rows(file) as (rows, size), opened() as found:
        now = found.repository.now()
        asked["available_at"] = read_time("--at", at, now) if at else None
        asked["deadline_at"] = read_time("--deadline", deadline, now) if deadline else None
        given = {name: value for name, value in asked.items() if value is not None}
        created = _store(found, given, rows, size, _format_of(file, format))
        _tell_created(created, wait=wait, as_json=as_json)
        code = _finish(found, created.id, results, as_json=as_json) if wait else FINE
    raise typer.Exit(code)


@contextmanager
def _open_rows(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and how many bytes it has.

    Raises:
        RequestInvalid: it cannot be read.
    """
    if file == STDIN:
        import sys

        yield sys.stdin.buffer, None
        return
    try:
        with Path(file).open("rb") as opened_file:
            yield opened_file, Path(file).stat().st_size
    except OSError as exc:
        raise RequestInvalid(f"{file!r} cannot be read ({exc.strerror})") from exc


def _format_of(file: str, asked: str | None) -> RowFormat:
    from agent.intake.rows import RowFormat

    word = asked or SUFFIXES.get(Path(file).suffix.lower())
    if word not in set(RowFormat):
        raise RequestInvalid("--format: say csv or jsonl; the name of the file does not")
    return RowFormat(word)


def _store(
    found: Opened,
    asked: dict[str, Any],
    rows: BinaryIO,
    size: int | None,
    format: RowFormat,
) -> Created:
    from agent.intake.batch import read_batch
    from agent.intake.batches import Batches
    from agent.intake.rows import read_rows
    from agent.projections.doorbell import BATCHES

    batch = read_batch(asked)
    batches = Batches.of(found.repository, found.templates(), found.settings)
    with Bar("reading", size, shown=True) as bar:
        blocks = _blocks(rows, bar)
        created = batches.create(batch, read_rows(blocks, format), owner=OWNER, source="cli")
    found.ring(BATCHES)
    return created


def _blocks(rows: BinaryIO, bar: Bar) -> Iterator[bytes]:
    read = 0
    while block := rows.read(BLOCK_BYTES):
        yield block
        read += len(block)
        bar.tell(read)


def _tell_created(created: Created, *, wait: bool, as_json: bool) -> None:
    if created.existing:
        note(f"nothing new: {created.id} has this unique key, and is not final")
    for each in created.rejected:
        note(f"row {each.row}: {each.error}")
    if more := created.rejected_count - len(created.rejected):
        note(f"and {more:,} more rows that are no part of the batch")
    if not as_json:
        say(created.id)
    elif not wait:
        from agent.api.batch_answers import created_answer

        say_json(created_answer(created))


def _finish(found: Opened, batch_id: str, results: Path | None, *, as_json: bool) -> int:
    from agent.answers import batch_answer
    from agent.cli.batch import lines_of, write_results
    from agent.models import Status

    batch = _wait(found, batch_id)
    if results is not None:
        write_results(found, batch_id, results)
    answer = batch_answer(batch, found.repository.now())
    if as_json:
        say_json(answer)
    else:
        for line in lines_of(answer):
            say(line)
    return FINE if batch["status"] == Status.COMPLETED else FAILED


def _wait(found: Opened, batch_id: str) -> Document:
    """The batch once it is final."""
    from agent.models import FINAL

    ended = threading.Event()
    with Bar("working", None, shown=True) as bar:
        while True:
            batch = found.repository.find_batch(batch_id)
            progress = batch["results"]["progress"]
            bar.tell(progress["processed"], total=progress["total"])
            if batch["status"] in FINAL:
                return batch
            ended.wait(LOOK_SECONDS)
