"""`agent cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli import selecting
from agent.cli.exits import FAILED
from agent.cli.opened import for_each, opened
from agent.cli.options import AsJson, OfService, OfTag, OptionalIds
from agent.cli.output import id_word, say, say_json


def cancel(
    ids: OptionalIds = None,
    *,
    everything: selecting.Everything = False,
    service: OfService = None,
    status: selecting.OfStatus = None,
    tag: OfTag = None,
    template: selecting.OfTemplate = None,
    user: selecting.OfUser = None,
    since: Annotated[str | None, selecting.since_option("was made")] = None,
    until: Annotated[str | None, selecting.until_option("was made")] = None,
    limit: selecting.Limit = None,
    rate: selecting.Rate = None,
    dry_run: selecting.DryRun = False,
    yes: selecting.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cancel contexts that are not final: those of the ids, or with --all those that match. What a
    running call brings is then dropped.

    What is made after the beginning of the command is left alone.
    """
    words = {
        "service": service, "status": status, "tag": tag, "template": template, "user": user,
        "since": since, "until": until,
    }  # fmt: skip
    options = {"limit": limit, "rate": rate, "dry_run": dry_run, "yes": yes}
    chosen = selecting.choose(ids, everything, words | options)
    if chosen is not None:
        _each(chosen, as_json=as_json)
        return
    with opened() as found:
        repository = found.repository
        bulk = selecting.Bulk(
            "cancel", "cancelled", repository.count_cancellable, repository.cancel_matching
        )
        code = bulk.run(
            found, selecting.read_selection(found, words), limit=limit, rate=rate,
            dry_run=dry_run, yes=yes, as_json=as_json,
        )  # fmt: skip
    raise typer.Exit(code)


def _each(ids: list[str], *, as_json: bool) -> None:
    cancelled: list[object] = []
    with opened() as found:

        def act(word: str) -> None:
            context_id = found.find(word)
            found.repository.cancel(context_id)
            cancelled.append(context_id)
            if not as_json:
                say(f"{id_word(context_id)} cancelled")

        fine = for_each(ids, act)
        found.ring("settle")  # it may have been a request of several steps, or one of them
    if as_json:
        say_json({"cancelled": cancelled})
    if not fine:
        raise typer.Exit(FAILED)
