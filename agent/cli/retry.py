"""`agent retry`: an operator's new beginning."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from agent.cli import selecting
from agent.cli.exits import FAILED
from agent.cli.opened import for_each, opened
from agent.cli.options import AsJson, OfError, OfKind, OfService, OfTag, OptionalIds
from agent.cli.output import id_word, say, say_json


def retry(
    ids: OptionalIds = None,
    *,
    everything: selecting.Everything = False,
    service: OfService = None,
    kind: OfKind = None,
    error: OfError = None,
    tag: OfTag = None,
    template: selecting.OfTemplate = None,
    user: selecting.OfUser = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            help="failed or cancelled; failed if not said.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[str | None, selecting.since_option("failed")] = None,
    until: Annotated[str | None, selecting.until_option("failed")] = None,
    limit: selecting.Limit = None,
    rate: selecting.Rate = None,
    dry_run: selecting.DryRun = False,
    yes: selecting.Yes = False,
    fresh_key: Annotated[
        bool | None,
        typer.Option(
            "--fresh-key/--same-key",
            help="Which idempotency key the service sees. Without either a new one where a whole "
            "reply had told how the last call ended, else the old one.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Begin failed or cancelled contexts anew, with their history kept: those of the ids, or with
    --all those that match.

    What fails again meanwhile is not begun a second time. A run that ended midway is run again.
    """
    words = {
        "service": service, "kind": kind, "error": error, "tag": tag, "template": template,
        "user": user, "status": status, "since": since, "until": until,
    }  # fmt: skip
    options = {"limit": limit, "rate": rate, "dry_run": dry_run, "yes": yes}
    chosen = selecting.choose(ids, everything, words | options)
    if chosen is not None:
        _each(chosen, fresh_key=fresh_key, as_json=as_json)
        return
    with opened() as found:
        repository = found.repository
        bulk = selecting.Bulk(
            "retry", "retried", repository.count_retriable,
            partial(repository.retry_matching, fresh_key=fresh_key),
        )  # fmt: skip
        code = bulk.run(
            found, selecting.read_selection(found, words), limit=limit, rate=rate,
            dry_run=dry_run, yes=yes, as_json=as_json,
        )  # fmt: skip
    raise typer.Exit(code)


def _each(ids: list[str], *, fresh_key: bool | None, as_json: bool) -> None:
    begun: list[object] = []
    with opened() as found:

        def act(word: str) -> None:
            context_id = found.find(word)
            document = found.repository.retry(context_id, fresh_key=fresh_key)
            begun.append(context_id)
            if not as_json:
                say(f"{id_word(context_id)} {document['status']}, {_what(document)}")

        fine = for_each(ids, act)
        found.ring("foreign")  # one that was never adopted is adopted now
        found.ring("settle")  # a request of several steps is opened again
    if as_json:
        say_json({"retried": begun})
    if not fine:
        raise typer.Exit(FAILED)


def _what(document: dict[str, object]) -> str:
    if document.get("kind") == "parent":
        return "with all of it that failed or was cancelled"
    return _key(document)


def _key(document: dict[str, object]) -> str:
    generation = document.get("generation", 0)
    fresh = generation and document.get("key_generation", 0) == generation
    return "under a new idempotency key" if fresh else "under the same idempotency key"
