"""Who takes part in the state machine: bridges, workers and an operator, by one clock that a test
sets; and the ways in which a worker may end what it holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from agent.errors import IllegalTransition, RequestInvalid
from agent.models import AttemptRecord, Claim, ErrorRecord, WaitReason
from agent.settings import Settings
from agent.store import changes
from agent.store.changes import Hold, Write
from agent.store.clock import ServerClock
from agent.store.group_writer import GroupWriter
from tests.factories import LONG_AGO
from tests.moved_clock import connect_by

BRIDGES, WORKERS = 2, 3
ERROR = ErrorRecord(type="ServiceUnavailable", message="no answer", status_code=503)
REMOTE = {"status_url": "http://base.example/1", "accepted_at": LONG_AGO, "polls": 0}


class HandClock(ServerClock):
    """Stands still between the steps, so that the model can tell every time to the millisecond.

    It is ahead of the server's, which deletes what is not to be kept any longer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.time = datetime(2126, 3, 1, 12, tzinfo=UTC)

    @property
    def is_known(self) -> bool:
        return True

    def now(self) -> datetime:
        return self.time


class Cast:
    """Everybody who takes part: each with a client and a group writer of their own."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self.clock = HandClock()
        repositories = [connect_by(self.clock, settings) for _ in range(BRIDGES + WORKERS + 1)]
        for repository in repositories:
            stack.callback(repository.close)
        self.bridges, self.workers = repositories[:BRIDGES], repositories[BRIDGES:-1]
        self.operator = repositories[-1]
        self.operator.create_indexes()
        self.writers = [GroupWriter(worker) for worker in self.workers]
        for writer in self.writers:
            stack.callback(writer.close)


def permitted(ask: Callable[[], object]) -> bool:
    """Whether what an operator asks takes place."""
    try:
        ask()
    except (IllegalTransition, RequestInvalid):
        return False
    return True


def proof_of(hold: Hold, claim: Claim) -> dict[str, Any]:
    return {"fence": hold.fence, "claim": claim.claim_id, "token": hold.token}


def _attempt(hold: Hold, outcome: str) -> AttemptRecord:
    return AttemptRecord(number=1, outcome=outcome, token=hold.token)


ENDS: dict[str, Callable[[datetime, Hold, datetime], Write]] = {
    "complete": lambda now, hold, _: changes.complete(
        now, hold, results={"done": True}, attempt=_attempt(hold, "completed")
    ),
    "fail": lambda now, hold, _: changes.fail(
        now, hold, error=ERROR, attempt=_attempt(hold, "failed")
    ),
    "fail at last": lambda now, hold, _: changes.fail(
        now, hold, error=ERROR, attempt=_attempt(hold, "retry"), counts=True
    ),
    "retry later": lambda now, hold, due: changes.reschedule(
        now, hold, available_at=due, reason=WaitReason.RETRY, attempt=_attempt(hold, "retry")
    ),
    "snooze": lambda now, hold, due: changes.reschedule(
        now, hold, available_at=due, reason=WaitReason.SNOOZE, attempt=_attempt(hold, "snooze")
    ),
    "accept": lambda now, hold, due: changes.reschedule(
        now, hold, available_at=due, reason=WaitReason.POLL, attempt=_attempt(hold, "accepted"),
        remote=REMOTE,
    ),
    "release": lambda now, hold, _: changes.release(now, hold),
}  # fmt: skip
