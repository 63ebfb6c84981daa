"""Waiting until every context is final, with the hands of an operator.

What waits because somebody asked for it (a back-off, `Retry-After`, the breaker) would wait for up
to a minute more. Operators cut that short, as `agent run-now` and `agent resume` do; what leases,
rescue, a new leader and a new process take is left to them.
"""

from __future__ import annotations

import time
from datetime import timedelta

from agent.errors import AgentError
from agent.models import FINAL
from tests.faults.line import Line

LOOK_SECONDS = 0.2
HAND_SECONDS = 1.0
SOON = timedelta(seconds=1)
LIMIT_SECONDS = 120.0
"""The longest lease, that of a queued context, is 35 s; one of each kind may follow another."""


class NotQuiet(Exception):
    """Some contexts are not final."""


def wait_until_quiet(line: Line) -> float:
    """Seconds until every context was final.

    Raises:
        NotQuiet: with what they are.
    """
    began = time.monotonic()
    hand_at = began
    while unfinished := line.database["contexts"].count_documents(
        {"status": {"$nin": sorted(map(str, FINAL))}}
    ):
        now = time.monotonic()
        if now > began + LIMIT_SECONDS:
            raise NotQuiet(_told(line, unfinished))
        if now >= hand_at:
            _lend_a_hand(line)
            hand_at = time.monotonic() + HAND_SECONDS
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def _lend_a_hand(line: Line) -> None:
    repository = line.repository
    late = {"status": "scheduled", "available_at": {"$gt": repository.now() + SOON}}
    for document in line.database["contexts"].find(late, {"_id": 1}):
        try:
            repository.run_now(document["_id"])
        except AgentError:  # it has just been promoted
            continue
    for name, state in repository.service_states().items():
        if state.pause is not None:
            repository.resume_service(name)


def _told(line: Line, count: int) -> str:
    words = [f"{count} contexts are not final after {LIMIT_SECONDS:g} s"]
    for document in line.database["contexts"].find({"status": {"$nin": sorted(map(str, FINAL))}}):
        told = {name: document.get(name) for name in ("status", "wait_reason", "fence", "lease")}
        words.append(f"{document['_id']}: {told}, available {document.get('available_at')}")
    return "\n".join(words)
