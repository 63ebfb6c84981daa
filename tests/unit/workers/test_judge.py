"""What an outcome means beside those of other contexts, as one process alone sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from agent import outcomes
from agent.models import Claim, Document, ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.projections.signals import LocalSignals, Signals, Window
from agent.settings import Settings
from agent.workers.judge import FORBIDDEN_PAUSE, FORBIDDEN_STREAK, Judge
from agent.workers.running import Run

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
FORBIDDEN = outcomes.failed(ErrorRecord(type="Forbidden", message="no", status_code=403))
BUSY = outcomes.snooze(ErrorRecord(type="TooManyRequests", message="later", status_code=429))
BROKEN = outcomes.retry(ErrorRecord(type="ServiceFailed", message="500", status_code=500))
DONE = outcomes.completed({})


class Process:
    """One process with its own signals, on a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.signals = LocalSignals("agent", monotonic=lambda: self.now)
        self.judge = Judge(self.signals, None, Settings())

    def saw(self, outcome: Outcome, context_id: Any = "ctx_1", service: str = "ANALYSIS") -> None:
        self.judge.record(a_run(context_id, service), outcome, 0.1, 0.01)

    def weigh(self, outcome: Outcome, **document: Any) -> Outcome:
        return self.judge.weigh(a_run("ctx_9", document=document), outcome, NOW)

    def window(self) -> Window:
        return self.signals.window(["ANALYSIS"])["ANALYSIS"]


def a_run(
    context_id: Any = "ctx_1", service: str = "ANALYSIS", document: Document | None = None
) -> Run:
    run = Run(Claim(context_id, 1, "claim_1"), service, "token_1", "trace_1", timedelta(seconds=60))
    run.document = document or {}
    return run


def refused_before(seconds_ago: float, snoozes: int = 1) -> Document:
    """A context that was refused some time ago."""
    last = {"outcome": "snooze", "finished_at": NOW - timedelta(seconds=seconds_ago)}
    return {"snoozes": snoozes, "attempts": [last]}


@pytest.mark.parametrize(
    ("outcome", "calls", "failing"), [(DONE, 1, 0), (FORBIDDEN, 1, 0), (BROKEN, 1, 1), (BUSY, 1, 0)]
)
def test_an_outcome_is_noted_for_the_gate(outcome: Outcome, calls: int, failing: int) -> None:
    """Whether the service itself failed is noted with it."""
    process = Process()
    process.saw(outcome)
    assert (process.window().calls, process.window().failing) == (calls, failing)


def test_a_release_says_nothing_about_the_service() -> None:
    """Nothing was sent."""
    process = Process()
    process.saw(outcomes.released())
    assert process.window() == Window()


def test_five_403s_in_a_row_are_the_keys_fault() -> None:
    """The fifth context is not failed but waits, and the service pauses."""
    process = Process()
    weighed = []
    for number in range(FORBIDDEN_STREAK):
        process.saw(FORBIDDEN, f"ctx_{number}")
        weighed.append(process.weigh(FORBIDDEN))
    assert [each.kind for each in weighed] == [Kind.FAILED] * 4 + [Kind.SNOOZE]
    assert (weighed[-1].delay, weighed[-1].pause) == (FORBIDDEN_PAUSE, FORBIDDEN_PAUSE)
    assert weighed[-1].error is not None
    assert weighed[-1].error.status_code == 403


def test_one_forbidden_context_pauses_nobody() -> None:
    """However often it is tried."""
    process = Process()
    for _ in range(10):
        process.saw(FORBIDDEN, "ctx_1")
    assert process.weigh(FORBIDDEN) == FORBIDDEN


def test_contexts_of_any_kind_of_id_are_told_apart() -> None:
    """A number and its text are two."""
    process = Process()
    for context_id in (1, "1", 2, "2", 1, "1"):
        process.saw(FORBIDDEN, context_id)
    assert process.signals.forbidden_streak("ANALYSIS") == 4


def test_a_success_between_breaks_the_row() -> None:
    """The key was right a moment ago."""
    process = Process()
    for number in range(4):
        process.saw(FORBIDDEN, f"ctx_{number}")
    process.saw(DONE, "ctx_5")
    process.saw(FORBIDDEN, "ctx_6")
    assert process.weigh(FORBIDDEN) == FORBIDDEN


def test_the_403s_of_one_service_do_not_pause_another() -> None:
    """Each has its own key."""
    process = Process()
    for number in range(9):
        process.saw(FORBIDDEN, f"ctx_{number}", service="GENERATIVE")
    process.saw(FORBIDDEN, "ctx_10")
    assert process.weigh(FORBIDDEN) == FORBIDDEN


def test_a_key_that_is_refused_fails_nobody_who_waits_already() -> None:
    """A context that was snoozed for it before is no failure while no other succeeds."""
    process = Process()
    for number in range(FORBIDDEN_STREAK):
        process.saw(FORBIDDEN, f"ctx_{number}")
    assert process.weigh(FORBIDDEN, **refused_before(60)).kind == Kind.SNOOZE


@pytest.mark.parametrize(
    ("succeeded", "document", "kind"),
    [
        (5.0, refused_before(10), Kind.RETRY),
        (15.0, refused_before(10), Kind.SNOOZE),
        (None, refused_before(10), Kind.SNOOZE),
        (5.0, refused_before(10, snoozes=0), Kind.SNOOZE),
        (5.0, {"snoozes": 1, "attempts": []}, Kind.SNOOZE),
        (5.0, {"snoozes": 1, "attempts": [{"finished_at": "yesterday"}]}, Kind.SNOOZE),
    ],
    ids=["others succeed", "succeeded before", "nobody", "first", "no attempt", "odd attempt"],
)
def test_a_context_refused_while_others_succeed_counts_a_failure(
    succeeded: float | None, document: Document, kind: Kind
) -> None:
    """It is at fault itself, and may not hold its service up."""
    process = Process()
    if succeeded is not None:
        process.saw(DONE)
        process.now += succeeded
    assert process.weigh(BUSY, **document).kind == kind


@pytest.mark.parametrize("status", [401, 500, 503, None])
def test_only_refusals_of_one_context_are_its_own_fault(status: int | None) -> None:
    """A 401 or a 503 concerns all."""
    process = Process()
    process.saw(DONE)
    process.now += 5
    outcome = outcomes.snooze(ErrorRecord(type="X", message="x", status_code=status))
    assert process.weigh(outcome, **refused_before(10)).kind == Kind.SNOOZE


@pytest.mark.parametrize("outcome", [DONE, BROKEN, outcomes.accepted("u"), outcomes.released()])
def test_every_other_outcome_is_what_it_is(outcome: Outcome) -> None:
    """Nothing is weighed that is not refused."""
    assert Process().weigh(outcome, **refused_before(10, snoozes=99)) is outcome


def test_without_redis_each_403_fails_its_own_context() -> None:
    """What other processes saw is not known; nobody is paused on a guess."""
    with redis.Redis(host="127.0.0.1", port=1, retry=None) as away:  # type: ignore[arg-type]
        judge = Judge(Signals("agent"), away, Settings())
        for number in range(9):
            judge.record(a_run(f"ctx_{number}"), FORBIDDEN, 0.1, None)
        assert judge.weigh(a_run("ctx_9"), FORBIDDEN, NOW) == FORBIDDEN
        refused = a_run("ctx_9", document=refused_before(10))
        assert judge.weigh(refused, BUSY, NOW) == BUSY
