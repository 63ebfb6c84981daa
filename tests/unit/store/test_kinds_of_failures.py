"""Every write of a failure says which kind it is of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.fingerprint import fingerprint_of
from agent.models import AttemptRecord, ErrorRecord, WaitReason
from agent.store import changes
from agent.store.changes import Hold, Write
from tests.factories import a_context, a_lease, foreign

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
HOLD = Hold("ctx_1", 3, "token_1")
ERROR = ErrorRecord(type="ServiceRejected", message="user 17 is not known")
ATTEMPT = AttemptRecord(number=4, outcome="failed", error=ERROR)
EXPIRED = a_context(status="processing", fence=3, lease=a_lease())

FAILURES: dict[str, Write] = {
    "fail": changes.fail(NOW, HOLD, error=ERROR, attempt=ATTEMPT),
    "rescue fail": changes.rescue_fail(NOW, EXPIRED, error=ERROR, attempt=ATTEMPT),
    "adopt fail": changes.adopt_fail(NOW, foreign(), read={}, error=ERROR),
    "expire": changes.expire(NOW, "ctx_1"),
}


@pytest.mark.parametrize("write", FAILURES.values(), ids=FAILURES)
def test_a_failure_says_its_kind(write: Write) -> None:
    """By the type of its error and its message."""
    error = write.update["$set"]["error"]
    assert error["fingerprint"] == fingerprint_of(error["type"], error["message"])


@pytest.mark.parametrize("message", ["user 17 is not known", "user 4711 is not known"])
def test_an_attempt_says_the_kind_of_its_error(message: str) -> None:
    """So that what is tried again can be told apart, too."""
    error = ErrorRecord(type="ServiceRejected", message=message)
    write = changes.reschedule(
        NOW, HOLD, available_at=NOW + timedelta(seconds=2), reason=WaitReason.RETRY,
        attempt=AttemptRecord(number=1, outcome="retry", error=error),
    )  # fmt: skip
    [entry] = write.update["$push"]["attempts"]["$each"]
    assert entry["error"]["fingerprint"] == fingerprint_of(ERROR.type, ERROR.message)
