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
from agent.errors import AgentError, BrokerUnavailable, StoreUnavailable

RETRY_SECONDS = 0.5

_Answer = TypeVar("_Answer")


def setup(
    *,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="How long a server that is away is waited for."
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
        StoreUnavailable, BrokerUnavailable: a server did not answer within so many seconds.
    """
    deadline = time.monotonic() + wait
    indexes = _patiently("MongoDB", deadline, found.repository.create_indexes)
    warnings = _patiently("MongoDB", deadline, found.repository.warnings)
    return indexes, [*warnings, *_patiently("Redis", deadline, lambda: _check_redis(found))]


def _check_redis(found: Opened) -> list[str]:
    from agent.projections.connection import check_redis

    return check_redis(found.client)


def _patiently(server: str, deadline: float, ask: Callable[[], _Answer]) -> _Answer:
    """The answer of a server, waited for until then.

    Raises:
        StoreUnavailable, BrokerUnavailable: it did not answer in time.
    """
    said = False
    while True:
        try:
            return ask()
        except (StoreUnavailable, BrokerUnavailable) as exc:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            if not said:
                note(_waiting(server, left, exc))
                said = True
            threading.Event().wait(min(RETRY_SECONDS, left))


def _waiting(server: str, left: float, exc: AgentError) -> str:
    return f"waiting for {server}, up to {left:.0f} s more ({explain(exc)})"
