"""`agent cancel`."""

from __future__ import annotations

import typer

from agent.cli.exits import FAILED
from agent.cli.opened import for_each, opened
from agent.cli.options import AsJson, Ids
from agent.cli.output import id_word, say, say_json


def cancel(ids: Ids, *, as_json: AsJson = False) -> None:
    """Cancel contexts that are not final. What a running call brings is then dropped."""
    cancelled: list[object] = []
    with opened() as found:

        def act(word: str) -> None:
            context_id = found.find(word)
            found.repository.cancel(context_id)
            cancelled.append(context_id)
            if not as_json:
                say(f"{id_word(context_id)} cancelled")

        fine = for_each(ids, act)
        found.ring()
    if as_json:
        say_json({"cancelled": cancelled})
    if not fine:
        raise typer.Exit(FAILED)
