"""Admission on a real MongoDB: how much starts, what keeps more from starting, and probes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.admission import admission
from agent.admission.admission import BY_AGE_EVERY
from agent.admission.gate import BREAKER_CALLS, Bound, Room
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.services import OPERATOR
from tests.factories import LONG_AGO, a_lease
from tests.integration.admission.gatekeeper import SECOND, Gatekeeper


@pytest.fixture
def gate(repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch) -> Gatekeeper:
    """It looks at the breaker, and at what is accepted, in every round."""
    monkeypatch.setattr(admission, "BREAKER_SECONDS", 0.0)
    monkeypatch.setattr(admission, "REMOTE_SECONDS", 0.0)
    return Gatekeeper(repository)


def ids(count: int, name: str = "ctx") -> list[str]:
    return [f"{name}_{number:02}" for number in range(count)]


# Room


def test_each_service_gets_what_it_has_room_for(gate: Gatekeeper) -> None:
    """One service's crowd takes nothing from another."""
    gate.insert(*ids(9))
    gate.insert(*ids(2, "analysis"), service_type="ANALYSIS")
    gate.free = {"GENERATIVE": 4, "ANALYSIS": 4}
    assert gate.admit() == {"GENERATIVE": ids(4), "ANALYSIS": ids(2, "analysis")}
    assert gate.room == Room(4, 4, Bound.BUSY)


@pytest.mark.parametrize(
    ("variables", "free", "expected"),
    [
        ({"MAX_IN_FLIGHT": "5"}, 50, (3, Bound.LIMIT)),
        ({"MAX_IN_FLIGHT": "2"}, 50, (0, Bound.LIMIT)),
        ({"MAX_REMOTE": "3"}, 50, (2, Bound.REMOTE)),
        ({"BATCH_SIZE": "4"}, 50, (4, Bound.NONE)),
        ({}, 0, (0, Bound.BUSY)),
        ({}, None, (0, Bound.NO_WORKER)),
    ],
    ids=["limit", "limit reached", "accepted", "batch", "busy", "no worker"],
)
def test_what_keeps_more_from_starting_is_told(
    repository: MongoContextRepository,
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    free: int | None,
    expected: tuple[int, Bound],
) -> None:
    """Two calls are in flight and one has been accepted; nine more are pending."""
    for name, value in variables.items():
        monkeypatch.setenv(f"GENERATION_BASE_{name}", value)
    gate = Gatekeeper(repository)
    gate.insert("p", status="processing", lease=a_lease())
    gate.insert("q", status="queued", lease=a_lease())
    gate.insert("r", status="scheduled", remote={"accepted_at": LONG_AGO, "status_url": "u"},
                available_at=repository.now() + 60 * SECOND)  # fmt: skip
    gate.insert(*ids(9))
    gate.free = {"GENERATIVE": free, "ANALYSIS": 50}
    assert (len(gate.admit().get("GENERATIVE", [])), gate.room.bound) == expected


def test_a_service_full_of_accepted_work_asks_for_it(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no call before some of it is finished, however long the backlog is."""
    monkeypatch.setenv("GENERATION_BASE_MAX_REMOTE", "1")
    monkeypatch.setenv("GENERATION_BASE_BATCH_SIZE", "3")
    gate = Gatekeeper(repository)
    gate.insert(*ids(20), priority=1)
    gate.insert("poll", remote={"accepted_at": LONG_AGO, "status_url": "u"}, priority=9)
    assert gate.admit() == {"GENERATIVE": ["poll"]}


def test_one_claim_in_twenty_goes_by_age(gate: Gatekeeper) -> None:
    """So that the last priority is slow, not starved."""
    gate.insert("old", priority=10)
    gate.insert(*ids(40), priority=1, available_at=LONG_AGO + SECOND)
    gate.free["GENERATIVE"] = 1
    rounds = [gate.admit()["GENERATIVE"] for _ in range(BY_AGE_EVERY)]
    assert rounds.index(["old"]) == BY_AGE_EVERY - 1


# Pauses and probes


def test_a_paused_service_gets_nothing_and_no_other_notices(gate: Gatekeeper) -> None:
    """Contexts stay pending and burn no attempts."""
    gate.insert(*ids(3))
    gate.insert("other", service_type="ANALYSIS")
    gate.pause(seconds=60)
    assert gate.admit() == {"ANALYSIS": ["other"]}
    assert gate.room == Room(0, 0, Bound.PAUSED)
    assert gate.repository.count_by_status()["GENERATIVE"] == {"pending": 3}


def test_after_a_pause_one_context_finds_out(gate: Gatekeeper) -> None:
    """Another one than the one that led to the pause; while it is under way nothing else starts."""
    gate.insert(*ids(5))
    gate.pause(context_id="ctx_00")
    assert gate.admit() == {"GENERATIVE": ["ctx_01"]}
    for _ in range(3):
        assert gate.admit() == {}
        assert gate.room.bound == Bound.PROBING
    gate.end("ctx_01", "completed")
    assert gate.admit() == {"GENERATIVE": ["ctx_00", "ctx_02", "ctx_03", "ctx_04"]}
    assert gate.paused is None


def test_the_same_context_finds_out_where_there_is_no_other(gate: Gatekeeper) -> None:
    """Better than never."""
    gate.insert("ctx_00")
    gate.pause(context_id="ctx_00")
    assert gate.admit() == {"GENERATIVE": ["ctx_00"]}


def test_a_probe_that_fails_pauses_for_longer(gate: Gatekeeper) -> None:
    """As one breaker more in a row; its context is avoided the next time."""
    gate.insert(*ids(5))
    gate.pause(trips=1)
    gate.admit()
    gate.end("ctx_00", "retry")
    assert gate.admit() == {}
    pause = gate.paused
    assert pause is not None
    assert pause.until is not None
    assert (pause.by, pause.trips, pause.context_id) == ("breaker", 2, "ctx_00")
    assert 15 * SECOND < pause.until - pause.since <= 20 * SECOND
    assert gate.room.bound == Bound.PAUSED


def test_a_probe_that_tells_nothing_is_followed_by_another(gate: Gatekeeper) -> None:
    """It was cancelled, say."""
    gate.insert(*ids(5))
    gate.pause()
    assert gate.admit() == {"GENERATIVE": ["ctx_00"]}
    gate.repository.cancel("ctx_00")
    assert gate.admit() == {"GENERATIVE": ["ctx_01"]}
    assert gate.admit() == {}


def test_a_probe_long_after_the_pause_is_still_the_only_one(gate: Gatekeeper) -> None:
    """Nothing was pending when the pause ended; that was an hour ago."""
    gate.pause(seconds=-3600)
    assert gate.admit() == {}
    gate.insert(*ids(5))
    assert gate.admit() == {"GENERATIVE": ["ctx_00"]}
    assert [gate.admit() for _ in range(3)] == [{}, {}, {}]


def test_two_bridges_let_one_probe_through(gate: Gatekeeper) -> None:
    """What the one noted, the other reads; so does a new leader."""
    gate.insert(*ids(5))
    gate.pause()
    assert gate.admit() == {"GENERATIVE": ["ctx_00"]}
    assert Gatekeeper(gate.repository).admit() == {}


def test_accepted_work_may_be_the_probe(gate: Gatekeeper) -> None:
    """One poll, and no call beside it."""
    gate.insert("poll", remote={"accepted_at": LONG_AGO, "status_url": "u"})
    gate.insert(*ids(3))
    gate.pause()
    assert gate.admit() == {"GENERATIVE": ["poll"]}
    assert gate.admit() == {}


# The breaker


def test_a_service_that_fails_gets_a_pause(gate: Gatekeeper) -> None:
    """When most of enough calls failed; what is pending waits."""
    gate.insert(*ids(3))
    gate.fail_lately(BREAKER_CALLS - 1)
    assert gate.admit() == {"GENERATIVE": ids(3)}
    gate.insert("more")
    gate.fail_lately(1)
    assert gate.admit() in ({}, {"GENERATIVE": ["more"]})  # it is seen by the next round
    pause = gate.paused
    assert pause is not None
    assert pause.until is not None
    assert (pause.by, pause.trips) == ("breaker", 1)
    assert 5 * SECOND < pause.until - pause.since <= 10 * SECOND
    gate.insert("late")
    assert gate.admit() == {}


def test_what_led_to_a_pause_does_not_lead_to_the_next(gate: Gatekeeper) -> None:
    """The failures are still in sight when a probe has gone well."""
    gate.insert(*ids(3))
    gate.fail_lately(100)
    gate.pause()
    gate.admit()
    gate.end("ctx_00", "completed")
    assert gate.admit() == {"GENERATIVE": ["ctx_01", "ctx_02"]}
    gate.admit()
    assert gate.paused is None


def test_the_breaker_leaves_an_operators_pause_alone(gate: Gatekeeper) -> None:
    """Whatever it sees."""
    gate.pause(OPERATOR, seconds=60)
    gate.fail_lately(100)
    gate.admit()
    pause = gate.paused
    assert pause is not None
    assert pause.by == OPERATOR


def test_failures_of_one_service_pause_no_other(gate: Gatekeeper) -> None:
    """Each has its own breaker."""
    gate.insert("other", service_type="ANALYSIS")
    gate.fail_lately(100)
    assert gate.admit() == {"ANALYSIS": ["other"]}
    assert set(gate.repository.service_states()) == {"GENERATIVE"}


def test_an_operators_resume_opens_the_gate_at_once(gate: Gatekeeper) -> None:
    """Without a probe: somebody knows that it is well."""
    gate.insert(*ids(3))
    gate.pause(seconds=60)
    assert gate.admit() == {}
    gate.repository.resume_service("GENERATIVE")
    assert gate.admit() == {"GENERATIVE": ids(3)}
