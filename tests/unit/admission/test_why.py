"""Why a context is where it is, in one sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.admission.why import Surroundings, why
from agent.models import ABSENT, Document
from agent.store.services import Pause
from tests.factories import LONG_AGO, a_context, a_lease

NOW = LONG_AGO + timedelta(hours=1)
SOON = NOW + timedelta(seconds=30)
WELL = Surroundings(now=NOW, leads=True, pause=None, threads=64, in_flight=0, limit=1000)
PAUSE = Pause("GENERATIVE", by="retry-after", reason="too many", since=LONG_AGO, until=SOON)
STEPS = [("draft", "completed"), ("score", "queued"), ("check", "failed")]
ERROR = {"type": "ServiceFailed", "message": "the service answered 503"}


def a_document(**fields: Any) -> Document:
    """A stored context; `ABSENT` leaves a field out."""
    return {name: value for name, value in {**a_context(), **fields}.items() if value is not ABSENT}


@pytest.mark.parametrize(
    ("document", "around", "expected"),
    [
        ({}, {}, "it has been due for 60 min, behind others of its service that go first"),
        ({"available_at": NOW}, {}, "it is due and about to start"),
        ({"fence": ABSENT}, {}, "another program inserted it, and it waits to be adopted"),
        ({}, {"leads": False}, "it is due, but no bridge leads, so nothing starts except by "
                               "workers that run alone"),
        ({}, {"threads": 0}, "no worker is alive for GENERATIVE"),
        ({}, {"threads": None}, "it has been due for 60 min, behind others of its service that "
                                "go first"),
        ({}, {"in_flight": 5, "limit": 5}, "5 calls are in flight, as many as GENERATIVE may have "
                                           "at once"),
        ({}, {"in_flight": 64}, "all 64 threads of the workers of GENERATIVE are busy"),
        ({}, {"limit": None}, "GENERATIVE is no service type of this installation"),
        ({}, {"pause": PAUSE}, "GENERATIVE is paused by retry-after since 2024-05-01 12:00:00 UTC, "
                               "until 2024-05-01 13:00:30 UTC: too many"),
        ({}, {"pause": replace(PAUSE, by="operator", until=None)},
         "GENERATIVE is paused by operator since 2024-05-01 12:00:00 UTC, until somebody resumes "
         "it (agent resume GENERATIVE): too many"),
        ({}, {"pause": replace(PAUSE, until=LONG_AGO)},
         "GENERATIVE was paused by retry-after (too many); that is over, and one call finds out "
         "whether it is well again"),
    ],
)  # fmt: skip
def test_why_a_pending_one_has_not_begun(
    document: Document, around: dict[str, Any], expected: str
) -> None:
    """The weightiest reason is told."""
    assert why(a_document(**document), replace(WELL, **around)) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"wait_reason": "delay"}, "it waits until 2024-05-01 13:00:30 UTC, as it was asked to"),
        ({"wait_reason": "retry", "failures": 3, "attempts": [{"error": ERROR}]},
         "it waits until 2024-05-01 13:00:30 UTC after failure 3 of 20 at most: ServiceFailed, "
         "the service answered 503"),
        ({"wait_reason": "retry", "failures": 0, "generation": 1, "attempts": [{"error": ERROR}]},
         "it was begun anew, and waits until 2024-05-01 13:00:30 UTC for its turn: "
         "ServiceFailed, the service answered 503"),
        ({"wait_reason": "snooze", "attempts": [{"error": ERROR}]},
         "it waits until 2024-05-01 13:00:30 UTC, which does not count as a failure: "
         "ServiceFailed, the service answered 503"),
        ({"wait_reason": "poll", "remote": {"accepted_at": LONG_AGO}},
         "GENERATIVE has accepted it at 2024-05-01 12:00:00 UTC and not finished it; it waits "
         "until 2024-05-01 13:00:30 UTC to be asked for again"),
        ({"wait_reason": "crash", "crashes": 1},
         "its worker vanished once; it waits until 2024-05-01 13:00:30 UTC"),
        ({"wait_reason": "crash", "crashes": 2},
         "its worker vanished 2 times in a row; it waits until 2024-05-01 13:00:30 UTC, then it "
         "runs in a process of its own"),
        ({"wait_reason": "?"}, "it waits until 2024-05-01 13:00:30 UTC"),
        ({"wait_reason": "delay", "available_at": LONG_AGO},
         "it waits until 2024-05-01 12:00:00 UTC, as it was asked to; that time has come, and it "
         "is to become pending"),
    ],
)  # fmt: skip
def test_what_a_scheduled_one_waits_for(document: Document, expected: str) -> None:
    """Until when, and after what."""
    scheduled = a_document(**{"status": "scheduled", "available_at": SOON, **document})
    assert why(scheduled, WELL) == expected


def test_a_scheduled_one_of_a_paused_service_waits_for_both() -> None:
    """Its own time is not all that it needs."""
    scheduled = a_document(status="scheduled", available_at=SOON, wait_reason="delay")
    assert why(scheduled, replace(WELL, pause=PAUSE)) == (
        "it waits until 2024-05-01 13:00:30 UTC, as it was asked to; GENERATIVE is paused by "
        "retry-after since 2024-05-01 12:00:00 UTC, until 2024-05-01 13:00:30 UTC: too many"
    )


@pytest.mark.parametrize(
    ("document", "around", "expected"),
    [
        ({"status": "queued", "updated_at": NOW - timedelta(seconds=3)}, {},
         "it was claimed 3.0 s ago and waits for a thread of a worker"),
        ({"status": "queued"}, {"threads": 0},
         "it was claimed, but no worker is alive for GENERATIVE; unless one comes it is pending "
         "again at 2024-05-01 13:00:30 UTC"),
        ({"status": "queued", "lease": ABSENT}, {},
         "it was claimed, and its lease ran out: it is to be taken back"),
        ({"status": "processing", "started_at": LONG_AGO}, {},
         "it is in flight at worker worker:1 since 2024-05-01 12:00:00 UTC"),
        ({"status": "processing", "started_at": LONG_AGO, "remote": {"status_url": "u"}}, {},
         "it is being asked for at worker worker:1 since 2024-05-01 12:00:00 UTC"),
        ({"status": "processing", "lease": a_lease()}, {"leads": False},
         "worker worker:1 has not renewed its lease, which ran out at 2024-05-01 12:00:00 UTC: it "
         "is to be taken back, but no bridge leads, so nothing starts except by workers that run "
         "alone"),
        ({"status": "processing", "kind": "parent"}, {}, "its steps are not all final"),
        ({"status": "processing", "kind": "parent"}, {"steps": STEPS},
         "its steps are not all final: score is queued"),
        ({"status": "processing", "kind": "parent", "service_type": "BATCH"}, {"steps": STEPS},
         "its items are not all final: score is queued"),
        ({"status": "processing", "kind": "parent", "cancelling": True}, {},
         "it is being cancelled"),
        ({"status": "waiting"}, {}, "the steps before it are not all completed"),
        ({"status": "waiting"}, {"steps": STEPS},
         "the steps before it are not all completed: score is queued, check is failed"),
        ({"status": "waiting"}, {"steps": STEPS[:1]},
         "the steps before it are completed, and it is to become pending"),
        ({"status": "waiting"}, {"steps": [(str(n), "queued") for n in range(12)]},
         "the steps before it are not all completed: "
         + ", ".join(f"{n} is queued" for n in range(10)) + " and 2 more"),
        ({"status": "cancelled", "completed_at": LONG_AGO}, {"steps": STEPS},
         "it was cancelled at 2024-05-01 12:00:00 UTC"),
        ({"status": "cancelled", "completed_at": LONG_AGO, "cancelled_by": "settle"},
         {"steps": STEPS}, "it was cancelled at 2024-05-01 12:00:00 UTC, since a step before it "
                           "was not completed: check is failed"),
    ],
)  # fmt: skip
def test_where_one_is_that_was_claimed(
    document: Document, around: dict[str, Any], expected: str
) -> None:
    """By whom, since when, and whether that one still lives."""
    claimed = a_document(**{"lease": a_lease(expires_at=SOON), **document})
    assert why(claimed, replace(WELL, **around)) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"status": "completed", "attempt": 2, "processed_by": "host:1"},
         "it was completed at 2024-05-01 12:00:00 UTC by worker host:1, at call 2"),
        ({"status": "failed", "error": ERROR},
         "it failed at 2024-05-01 12:00:00 UTC: ServiceFailed, the service answered 503"),
        ({"status": "cancelled"}, "it was cancelled at 2024-05-01 12:00:00 UTC"),
        ({"status": "done"}, "its status done is none that there is"),
    ],
)  # fmt: skip
def test_how_a_final_one_ended(document: Document, expected: str) -> None:
    """When, and by what."""
    assert why(a_document(**{"completed_at": LONG_AGO, **document}), WELL) == expected


def test_whatever_other_programs_write_is_survived() -> None:
    """No field has to be what it should be, and no text of theirs breaks out of its line."""
    broken = {
        "status": "scheduled", "wait_reason": "retry", "failures": "x", "attempts": [7],
        "available_at": "tomorrow\x1b[31m\n", "service_type": 9, "remote": 1, "lease": "no",
    }  # fmt: skip
    told = [why({**broken, "status": status}, WELL) for status in ("scheduled", "processing")]
    assert all(sentence.isprintable() for sentence in told)
