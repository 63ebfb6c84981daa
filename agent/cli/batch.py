"""`agent batch`: one request over many rows, and what has become of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli import batch_run
from agent.cli.exits import EPILOG, FAILED, FINE
from agent.cli.opened import Opened, for_each, opened
from agent.cli.options import AsJson
from agent.cli.output import add_row, console, new_table, note, say, say_json
from agent.errors import RequestInvalid
from agent.words import moment, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.models import Document

MOST_LISTED = 200
SHOWN_FAILURES = 10

app = typer.Typer(help="Batches: one request over many rows.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip

BatchId = Annotated[str, typer.Argument(metavar="ID", help="Of the batch.", show_default=False)]
BatchIds = Annotated[
    list[str], typer.Argument(metavar="ID", help="Of batches.", show_default=False)
]


@app.callback()
def batches() -> None:
    """Batches: one request over many rows, each of which becomes an item of its own."""


app.command("run", epilog=EPILOG)(batch_run.run)


@app.command("show", epilog=EPILOG)
def show(batch_id: BatchId, *, as_json: AsJson = False) -> None:
    """Show how far a batch is, and what failed of it."""
    from agent.answers import batch_answer

    with opened() as found:
        answer = batch_answer(found.repository.find_batch(batch_id), found.repository.now())
        failed = _failed(found, batch_id) if not as_json else []
    if as_json:
        say_json(answer)
        return
    for line in [*lines_of(answer), *failed]:
        say(visible(line))


def _failed(found: Opened, batch_id: str) -> list[str]:
    """The first of the items that failed, a line each."""
    from agent.models import Status

    failed = found.repository.children_of(batch_id, limit=SHOWN_FAILURES, status=Status.FAILED)
    return [_line_of_failure(found.repository.find_context(each["_id"])) for each in failed]


def _line_of_failure(item: Document) -> str:
    from agent.api.batch_answers import row_of

    error = item.get("error") or {}
    user = (item.get("request") or {}).get("user_id")
    whose = f" ({user})" if user else ""
    return f"row {row_of(item)}{whose}: {error.get('type')}: {error.get('message')}"


def lines_of(answer: Document) -> Iterator[str]:
    """A batch for people: how far it is, how fast, and which rows are no part of it."""
    progress = answer["progress"]
    yield (
        f"{answer['status']}: {progress['processed']:,} of {progress['total']:,} "
        f"({progress['percentage']:g} %), {progress['succeeded']:,} succeeded, "
        f"{progress['failed']:,} failed, {progress['cancelled']:,} cancelled"
    )
    if progress.get("rate"):
        yield f"{progress['rate']:g} a second"
    if progress.get("estimated_end_at"):
        yield f"through at about {moment(progress['estimated_end_at'])}"
    if rejected := answer["rejected"]["count"]:
        yield f"{rejected:,} {'row is' if rejected == 1 else 'rows are'} no part of it"
    if answer["error"]:
        yield f"{answer['error'].get('type')}: {answer['error'].get('message')}"


@app.command("list", epilog=EPILOG)
def list_batches(
    *,
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="So many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest batches."""
    from agent.answers import batch_answer
    from agent.models import BATCH

    with opened() as found:
        page = found.repository.page_of_parents(BATCH, limit=limit)
        now = found.repository.now()
        answers = [batch_answer(found.repository.find_batch(each["_id"]), now) for each in page]
    if as_json:
        say_json(answers)
        return
    columns = ("batch", "status", "done", "of", "failed", "made at", "template")
    table = new_table(columns, right=columns[2:5])
    for each in answers:
        progress = each["progress"]
        add_row(
            table,
            *(each["id"], each["status"], progress["processed"], progress["total"]),
            *(progress["failed"], moment(each["created_at"]), each["template"]["id"]),
        )
    console().print(table)


@app.command("results", epilog=EPILOG)
def results(
    batch_id: BatchId,
    *,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write there, not to stdout.", show_default=False),
    ] = None,
    format: batch_run.Format = None,
) -> None:
    """Write a line for each item: its row, its status, and what came of it."""
    with opened() as found:
        found.repository.find_batch(batch_id)
        if output is not None:
            write_results(found, batch_id, output, format)
            return
        import sys

        for block in _written(found, batch_id, format or "jsonl"):
            sys.stdout.buffer.write(block)


def write_results(found: Opened, batch_id: str, output: Path, format: str | None = None) -> None:
    """Write all items into a file, which is there as a whole or not at all.

    Raises:
        RequestInvalid: it cannot be written.
    """
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file:
            for block in _written(found, batch_id, format or _format_of(output)):
                file.write(block)
        part.replace(output)
    except OSError as exc:
        raise RequestInvalid(f"{str(output)!r} cannot be written ({exc.strerror})") from exc
    finally:
        part.unlink(missing_ok=True)


def _format_of(output: Path) -> str:
    return batch_run.SUFFIXES.get(output.suffix.lower(), "jsonl")


def _written(found: Opened, batch_id: str, format: str) -> Iterator[bytes]:
    from agent.api.batch_answers import as_csv, as_json_lines

    if format not in ("csv", "jsonl"):
        raise RequestInvalid("--format: say csv or jsonl")
    write = as_csv if format == "csv" else as_json_lines
    return write(found.repository.read_items(batch_id))


@app.command("cancel", epilog=EPILOG)
def cancel(ids: BatchIds, *, as_json: AsJson = False) -> None:
    """Cancel all items of batches that are not final."""
    _change(ids, lambda found, batch_id: found.repository.cancel(batch_id), as_json=as_json)


@app.command("retry", epilog=EPILOG)
def retry(ids: BatchIds, *, as_json: AsJson = False) -> None:
    """Begin anew what failed or was cancelled of batches."""
    _change(ids, lambda found, batch_id: found.repository.retry(batch_id), as_json=as_json)


def _change(ids: list[str], change: Callable[[Opened, Any], object], *, as_json: bool) -> None:
    from agent.answers import batch_answer

    answers: list[Document] = []
    with opened() as found:

        def act(word: str) -> None:
            change(found, found.repository.find_batch(word)["_id"])
            batch = found.repository.find_batch(word)
            answers.append(batch_answer(batch, found.repository.now()))

        fine = for_each(ids, act)
        if answers:
            found.ring("settle")
            found.ring("foreign")
    if as_json:
        say_json(answers)
    else:
        for each in answers:
            say(f"{each['id']}: {next(lines_of(each))}")
    if not fine:
        note("not all of them")
    raise typer.Exit(FINE if fine else FAILED)
