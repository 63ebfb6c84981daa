"""`agent setup`: the indexes, and a look at both servers. Run again it does no harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from agent.cli.exits import explain
from agent.cli.opened import Opened, opened
from agent.cli.options import AsJson
from agent.cli.output import note, say, say_json
from agent.errors import BrokerUnavailable, StoreUnavailable

RETRY_SECONDS = 0.5

_Answer = TypeVar("_Answer")


def setup(
    *,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long each server that is away is waited for."
        ),
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Create the indexes, and check MongoDB and Redis.

    Waits for a server that does not answer yet. What an operator should know about the servers is
    printed as a warning. Run it before the other processes, and again whenever you like.
    """
    with opened() as found:
        indexes, warnings = prepare(found, wait)
    for warning in warnings:
        note(f"warning: {warning}")
    if as_json:
        say_json({"indexes": indexes, "warnings": warnings})
    else:
        say(f"{len(indexes)} indexes are there; MongoDB and Redis answer")


def prepare(found: Opened, wait: float) -> tuple[list[str], list[str]]:
    """Create the indexes and look at both servers; the indexes, and what there is to warn of.

    Raises:
        StoreUnavailable, BrokerUnavailable: one did not answer within so many seconds.
    """
    indexes = _patiently("MongoDB", wait, found.repository.create_indexes)
    warnings = _patiently("MongoDB", wait, found.repository.warnings)
    return indexes, [*warnings, *_patiently("Redis", wait, lambda: _check_redis(found))]


def _check_redis(found: Opened) -> list[str]:
    from agent.projections.connection import check_redis

    return check_redis(found.client)


def _patiently(server: str, seconds: float, ask: Callable[[], _Answer]) -> _Answer:
    """The answer of a server, waited for so long once it has failed to give one.

    Raises:
        StoreUnavailable, BrokerUnavailable: it did not answer in time.
    """
    deadline: float | None = None
    while True:
        try:
            return ask()
        except (StoreUnavailable, BrokerUnavailable) as exc:
            if deadline is None:
                deadline = time.monotonic() + seconds
                if seconds:
                    note(f"waiting for {server}, up to {seconds:g} s more ({explain(exc)})")
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            threading.Event().wait(min(RETRY_SECONDS, left))
