"""When rescue looks for leases that ran out, and when it rather waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.duties.rescue import LEASELESS_SECONDS, PART_COMPANY, Rescue
from agent.errors import NotStorable, StoreUnavailable
from agent.models import MAX_CRASHES, AttemptRecord, Document, ErrorRecord
from agent.services import OnAmbiguous
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.upkeep import BATCH
from tests.factories import a_context, a_lease

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
LEASE_SECONDS = 3.0


class Leases:
    """Stands in for the repository: has expired leases, and notes what becomes of them."""

    def __init__(self) -> None:
        self.settings = Settings(lease_seconds=LEASE_SECONDS)
        self.clock = SimpleNamespace(primary_changes=0)
        self.expired: list[Document] = []
        self.leaseless: list[Document] = []
        self.error: Exception | None = None
        self.full: set[Any] = set()
        """Documents that no attempt more fits into."""
        self.takes = 0.0
        """Seconds that the question takes."""
        self.asked = 0
        self.asked_for_leaseless = 0
        self.pending: list[Any] = []
        self.delays: list[timedelta] = []
        self.failed: list[ErrorRecord] = []
        self.attempts: list[AttemptRecord] = []
        self.monotonic = 1000.0

    def now(self) -> datetime:
        return NOW

    def expired_leases(self) -> list[Document]:
        self.asked += 1
        self.monotonic += self.takes
        if self.error is not None:
            raise self.error
        found, self.expired = self.expired[:BATCH], self.expired[BATCH:]
        return found

    def without_lease(self) -> list[Document]:
        self.asked_for_leaseless += 1
        return self.leaseless

    def rescue_queued(self, document: Document) -> bool:
        self.pending.append(document["_id"])
        return True

    def rescue_processing(
        self, document: Document, *, delay: timedelta, attempt: AttemptRecord
    ) -> bool:
        if document["_id"] in self.full:
            raise NotStorable("object to insert too large")
        self.delays.append(delay)
        self.attempts.append(attempt)
        return True

    def rescue_fail(
        self, document: Document, *, error: ErrorRecord, attempt: AttemptRecord | None
    ) -> bool:
        self.failed.append(error)
        self.attempts.append(attempt)
        return True


class Duty:
    """Rescue over such leases, on a clock that a test moves."""

    def __init__(self, **policies: OnAmbiguous) -> None:
        self.leases = Leases()
        self.counted: list[int] = []
        self.rescue = Rescue(
            cast(MongoContextRepository, self.leases),
            policies or {"GENERATIVE": "retry", "COMMUNICATION": "park"},
            on_expired=self.counted.append,
            monotonic=lambda: self.leases.monotonic,
        )

    def run_after(self, seconds: float = LEASE_SECONDS, *documents: Document) -> int:
        """A round, so long after what was before."""
        self.leases.monotonic += seconds
        self.leases.expired += documents
        return self.rescue.run()


def queued(**overrides: Any) -> Document:
    return a_context(**{"status": "queued", "fence": 3, "lease": a_lease(token=None), **overrides})


def processing(**overrides: Any) -> Document:
    return a_context(
        **{"status": "processing", "fence": 3, "attempt": 2, "lease": a_lease(), **overrides}
    )


def test_a_document_that_nothing_more_fits_into_stops_no_other() -> None:
    """It fails, without a record of the attempt that was lost."""
    duty = Duty()
    full, other = processing(), processing()
    duty.leases.full = {full["_id"]}
    assert duty.run_after(LEASE_SECONDS, full, other) == 2
    assert len(duty.leases.delays) == 1
    [error] = duty.leases.failed
    assert "no place" in error.message


def test_a_process_that_starts_first_waits_one_lease() -> None:
    """Those that lived through what it did not see renew meanwhile."""
    duty = Duty()
    assert duty.run_after(LEASE_SECONDS - 0.1, queued()) == 0
    assert duty.leases.asked == 0
    assert duty.run_after(0.2) == 1


@pytest.mark.parametrize("doubt", ["outage", "new primary", "slow answer", "other leader"])
def test_after_any_doubt_it_waits_one_lease_again(doubt: str) -> None:
    """No living worker loses its call for something that was MongoDB's fault."""
    duty = Duty()
    duty.run_after()
    if doubt == "outage":
        duty.leases.error = StoreUnavailable("no answer")
        with pytest.raises(StoreUnavailable):
            duty.rescue.run()
        duty.leases.error = None
    elif doubt == "new primary":
        duty.leases.clock.primary_changes += 1
    elif doubt == "slow answer":
        duty.leases.takes = LEASE_SECONDS / 2
        assert duty.run_after(0, queued()) == 0
        duty.leases.takes = 0
    else:
        duty.rescue.hold_off()
    assert duty.run_after(0, queued()) == 0
    assert duty.run_after(LEASE_SECONDS - 0.1) == 0
    assert duty.run_after(0.2) == 1


def test_a_new_primary_is_noticed_once() -> None:
    """It does not hold rescue off for ever."""
    duty = Duty()
    duty.run_after()
    duty.leases.clock.primary_changes += 1
    assert duty.run_after(0, queued()) == 0
    assert duty.run_after() == 1


def test_what_was_only_queued_is_pending_again() -> None:
    """Nothing was begun, so nothing is counted."""
    duty = Duty()
    document = queued()
    assert duty.run_after(LEASE_SECONDS, document) == 1
    assert duty.leases.pending == [document["_id"]]
    assert (duty.leases.delays, duty.leases.failed) == ([], [])


@pytest.mark.parametrize("crashes", [0, 1, MAX_CRASHES - 2])
def test_what_was_running_is_tried_again_later(crashes: int) -> None:
    """The neighbours of a crash part company: each waits a while of its own."""
    duty = Duty()
    neighbours = [processing(crashes=crashes) for _ in range(40)]
    assert duty.run_after(LEASE_SECONDS, *neighbours) == 40
    assert duty.leases.failed == []
    assert all(timedelta(0) <= delay <= PART_COMPANY for delay in duty.leases.delays)
    assert len(set(duty.leases.delays)) == 40
    assert max(duty.leases.delays) - min(duty.leases.delays) > PART_COMPANY / 4


@pytest.mark.parametrize("crashes", [MAX_CRASHES - 1, MAX_CRASHES, 99])
def test_what_never_finishes_is_given_up(crashes: int) -> None:
    """It was started ten times in a row."""
    duty = Duty()
    duty.run_after(LEASE_SECONDS, processing(crashes=crashes))
    assert [error.type for error in duty.leases.failed] == ["PoisonContext"]


@pytest.mark.parametrize(
    ("document", "kinds"),
    [
        (processing(service_type="COMMUNICATION"), ["OutcomeUnknown"]),
        (processing(service_type="COMMUNICATION", crashes=9), ["OutcomeUnknown"]),
        (processing(service_type="COMMUNICATION", remote={"status_url": "u"}), []),
        (processing(service_type="GENERATIVE"), []),
        ({**processing(), "service_type": "UNHEARD_OF"}, []),
        ({**processing(), "service_type": None}, []),
    ],
    ids=["park", "park, crashed often", "park, but a poll", "retry", "unknown", "none"],
)
def test_a_call_that_may_have_been_made_is_parked_where_its_service_says_so(
    document: Document, kinds: list[str]
) -> None:
    """Asking for accepted work changes nothing, so it is asked again."""
    duty = Duty()
    duty.run_after(LEASE_SECONDS, document)
    assert [error.type for error in duty.leases.failed] == kinds
    assert len(duty.leases.delays) == 1 - len(kinds)


def test_the_attempt_that_was_lost_is_recorded() -> None:
    """Its worker cannot do it any more; what the service did is open."""
    duty = Duty()
    duty.run_after(LEASE_SECONDS, processing(started_at=NOW - timedelta(seconds=40)))
    [attempt] = duty.leases.attempts
    assert (attempt.number, attempt.fence, attempt.worker) == (2, 3, "worker:1")
    assert (attempt.outcome, attempt.definite) == ("lost", False)
    assert (attempt.started_at, attempt.finished_at) == (NOW - timedelta(seconds=40), NOW)
    assert attempt.error is not None
    assert attempt.error.type == "WorkerLost"


@pytest.mark.parametrize("lease", [None, {}, {"owner": None}])
def test_what_has_no_lease_is_taken_too(lease: Any) -> None:
    """Another program may have made it so; it is looked for now and then only."""
    duty = Duty()
    duty.leases.leaseless = [{**processing(), "lease": lease}]
    assert duty.run_after() == 1
    assert duty.run_after(LEASELESS_SECONDS - 1) == 0
    assert duty.leases.asked_for_leaseless == 1
    assert duty.run_after(2) == 1


def test_a_round_goes_on_until_none_is_left() -> None:
    """And tells how many there were, once."""
    duty = Duty()
    assert duty.run_after(LEASE_SECONDS, *(queued() for _ in range(BATCH + 3))) == BATCH + 3
    assert duty.counted == [BATCH + 3]


def test_a_round_that_finds_nothing_tells_nothing() -> None:
    """Nobody counts zeros."""
    duty = Duty()
    assert duty.run_after() == 0
    assert duty.counted == []
