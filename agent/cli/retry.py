"""`agent retry`: an operator's new beginning."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.exits import FAILED
from agent.cli.opened import for_each, opened
from agent.cli.options import AsJson, Ids
from agent.cli.output import id_word, say, say_json


def retry(
    ids: Ids,
    *,
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
    """Begin failed or cancelled contexts anew, with their history kept."""
    begun: list[object] = []
    with opened() as found:

        def act(word: str) -> None:
            context_id = found.find(word)
            document = found.repository.retry(context_id, fresh_key=fresh_key)
            begun.append(context_id)
            if not as_json:
                say(f"{id_word(context_id)} {document['status']}, {_key(document)}")

        fine = for_each(ids, act)
        found.ring("foreign")  # one that was never adopted is adopted now
    if as_json:
        say_json({"retried": begun})
    if not fine:
        raise typer.Exit(FAILED)


def _key(document: dict[str, object]) -> str:
    generation = document.get("generation", 0)
    fresh = generation and document.get("key_generation", 0) == generation
    return "under a new idempotency key" if fresh else "under the same idempotency key"
