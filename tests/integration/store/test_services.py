"""Pauses of services: who may pause, what ends a pause, and what its probe tells."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent.models import Claim
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.services import OPERATOR, Pause, ServiceState, active_pauses
from tests.factories import a_context

SECOND = timedelta(seconds=1)
CLAIM = Claim("ctx_1", 3, "claim_1")


def pause(
    repository: MongoContextRepository, by: str = OPERATOR, seconds: float | None = 60, **more: Any
) -> bool:
    """Pause ANALYSIS for so long; a negative time is a pause that is over."""
    until = None if seconds is None else repository.now() + seconds * SECOND
    return repository.pause_service("ANALYSIS", by=by, reason=f"by {by}", until=until, **more)


def state(repository: MongoContextRepository) -> ServiceState:
    return repository.service_states().get("ANALYSIS", ServiceState())


def stored_pause(repository: MongoContextRepository) -> Pause:
    found = state(repository).pause
    assert found is not None
    return found


def test_a_pause_says_who_why_and_until_when(repository: MongoContextRepository) -> None:
    """And whose reply led to it."""
    assert pause(repository, "unauthorized", context_id="ctx_1", trips=2)
    found = stored_pause(repository)
    assert (found.service_type, found.by, found.reason) == (
        "ANALYSIS", "unauthorized", "by unauthorized"
    )  # fmt: skip
    assert found.until is not None
    assert abs(found.until - found.since - 60 * SECOND) < SECOND
    assert (found.context_id, found.trips, found.probe) == ("ctx_1", 2, None)


def test_each_service_is_paused_by_itself(repository: MongoContextRepository) -> None:
    """One that never was is not listed."""
    pause(repository)
    states = repository.service_states()
    assert set(states) == {"ANALYSIS"}
    assert len(active_pauses(states.values())) == 1


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ((OPERATOR, None), ("retry-after", 60), False),
        ((OPERATOR, 60), ("retry-after", 3600), False),
        ((OPERATOR, 60), ("unauthorized", None), False),
        ((OPERATOR, -1), ("retry-after", 60), True),
        ((OPERATOR, 60), (OPERATOR, 5), True),
        ((OPERATOR, None), (OPERATOR, 5), True),
        (("retry-after", 60), (OPERATOR, 5), True),
        (("retry-after", 60), (OPERATOR, None), True),
        (("retry-after", 60), ("unauthorized", 5), False),
        (("retry-after", 5), ("unauthorized", 60), True),
        (("retry-after", -1), ("breaker", 10), True),
        (("breaker", 60), ("retry-after", None), True),
    ],
)
def test_an_operators_pause_stands_and_else_the_later_end(
    repository: MongoContextRepository,
    before: tuple[str, float | None],
    after: tuple[str, float | None],
    changes: bool,
) -> None:
    """A service's own word never shortens or lengthens what an operator has said."""
    assert pause(repository, *before)
    assert pause(repository, *after) is changes
    assert stored_pause(repository).by == (after if changes else before)[0]


def test_a_pause_ends_by_hand(repository: MongoContextRepository) -> None:
    """Whoever made it; when it ended is kept for the breaker."""
    pause(repository, "breaker", None)
    assert repository.resume_service("ANALYSIS") is True
    assert repository.resume_service("ANALYSIS") is False
    found = state(repository)
    assert found.pause is None
    assert isinstance(found.cleared_at, datetime)


def test_a_service_is_paused_again_after_its_pause_ended(
    repository: MongoContextRepository,
) -> None:
    """By anyone; the first time and every other."""
    for _ in range(3):
        assert pause(repository, "breaker")
        assert repository.resume_service("ANALYSIS")
    assert pause(repository, "breaker")


def test_the_probe_of_a_pause_is_noted(repository: MongoContextRepository) -> None:
    """So that every bridge knows of it, and for how long it has been under way."""
    pause(repository, "breaker", -1)
    assert repository.note_probe(stored_pause(repository), CLAIM) is True
    found = stored_pause(repository)
    assert found.probe == CLAIM
    assert found.probed_at is not None
    assert repository.now() - found.probed_at < 5 * SECOND
    assert repository.note_probe(found, None) is True
    assert stored_pause(repository).probe is None


def test_a_probe_that_went_well_ends_its_own_pause_only(
    repository: MongoContextRepository,
) -> None:
    """An operator who paused the service meanwhile meant it."""
    pause(repository, "breaker", -1)
    old = stored_pause(repository)
    pause(repository)
    assert repository.end_pause(old) is False
    assert repository.note_probe(old, CLAIM) is False
    assert repository.end_pause(stored_pause(repository)) is True
    assert state(repository).pause is None


def test_a_probe_is_asked_for_where_it_is_now(repository: MongoContextRepository) -> None:
    """Its status and its last attempt, no payload."""
    attempts = [{"number": n, "outcome": "retry", "fence": n} for n in range(1, 4)]
    repository.contexts.insert_one(
        a_context(_id="ctx_1", status="scheduled", fence=3, wait_reason="retry", attempts=attempts)
    )
    found = repository.probe_fate(CLAIM)
    assert found is not None
    assert set(found) == {"_id", "status", "fence", "wait_reason", "attempts"}
    assert [each["number"] for each in found["attempts"]] == [3]
    assert repository.probe_fate(CLAIM._replace(context_id="gone")) is None


def test_many_that_pause_at_once_leave_one_pause(repository: MongoContextRepository) -> None:
    """The one of the latest end, whoever came last; nobody's is lost for another's."""
    together = threading.Barrier(8)

    def pause_for(minutes: int) -> bool:
        together.wait(10)
        return pause(repository, "retry-after", 60 * minutes)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(pause_for, range(1, 9)))
    found = stored_pause(repository)
    assert found.until is not None
    assert abs(found.until - found.since - 480 * SECOND) < 5 * SECOND


@pytest.mark.parametrize("document", [{"pause": None}, {"pause": "yes"}, {}])
def test_an_odd_state_is_no_pause(
    repository: MongoContextRepository, document: dict[str, Any]
) -> None:
    """Nor is one that an older program left behind."""
    repository.database["services"].insert_one({"_id": "ANALYSIS", **document})
    assert state(repository).pause is None
