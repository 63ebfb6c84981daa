"""The checker is itself checked: what must not be is found in a forged run, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.checker import Broker, Plan
from tests.checker.forged import ID, Run, a_call, a_lease, a_line, a_run, at, start
from tests.checker.forgeries import FORGERIES, Forgery
from tests.checker.rules import EVEN_IF_TOUCHED, OF_OURS, OF_THE_BROKER


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda each: f"{each.rule}: {each.says}")
def test_what_must_not_be_is_found(forgery: Forgery) -> None:
    """The rule that a forged run breaks says so."""
    run = a_run()
    forgery.forge(run)
    found = [each.sentence for each in run.violations() if each.rule == forgery.rule]
    assert any(forgery.says in sentence for sentence in found), found


def test_every_rule_has_a_forgery() -> None:
    """A rule that no forged run breaks might as well not be there."""
    rules = {rule.__name__ for rule in (*EVEN_IF_TOUCHED, *OF_OURS)}
    rules |= {rule.__name__ for rule in OF_THE_BROKER}
    assert {forgery.rule for forgery in FORGERIES} == rules


def test_a_sound_run_breaks_no_rule() -> None:
    """One that went well at the second attempt."""
    assert a_run().violations() == []


def fails(run: Run) -> None:
    run.fail("ServiceRejected", error={"status_code": 422})
    run.calls[1] = a_call(status=422)


def fails_by_a_limit(run: Run) -> None:
    run.change("insert", max_attempts=2)
    run.fail("ServiceFailed", failures=2)


def may_fail(run: Run) -> None:
    run.plan = Plan(may_fail={ID: "OutcomeUnknown"}, tolerated=["DeadlineExceeded"])


def is_cancelled(run: Run) -> None:
    """While its second call ran; the worker then came too late."""
    run.tell("complete", 15, "lease", "remote", status="cancelled", completed_at=at(15))
    run.attempts.pop()
    run.lines[1] = a_line("attempt.stale", fence=2, outcome="completed")
    run.plan = Plan(cancelled=[ID])


def is_cancelled_and_retried(run: Run) -> None:
    """And then carried out under the key that a new generation has."""
    is_cancelled(run)
    again = {"generation": 1, "key_generation": 1, "failures": 0, "available_at": at(20)}
    run.tell("retry by hand", 20, status="pending", completed_at=None, crashes=0, **again)
    run.tell("claim 3", 21, status="queued", fence=3, lease=a_lease(3, 21))
    start(run, 3, 22)
    run.tell("complete 3", 25, "lease", status="completed", completed_at=at(25))
    run.attempts.append({"number": 3, "fence": 3, "outcome": "completed"})
    run.calls.append(a_call(attempt=3, idempotency_key="ctx_1:1"))
    run.plan = Plan(cancelled=[ID], retried=[ID])


def is_cancelled_unseen(run: Run) -> None:
    """The same, where nobody knows what was told just before."""
    is_cancelled_and_retried(run)
    run.missed = 14


def is_accepted_and_polled(run: Run) -> None:
    """The first call was accepted, and a poll brought the result."""
    remote = {"status_url": "/1", "accepted_at": at(3)}
    run.tell("retry", 3, "lease", status="scheduled", available_at=at(5), remote=remote)
    start(run, 2, 8, attempt=1)
    run.attempts = [
        {"number": 1, "fence": 1, "outcome": "accepted", "definite": True},
        {"number": 1, "fence": 2, "outcome": "completed", "definite": True},
    ]
    run.calls = [
        a_call(attempt=1, status=202, reply_sha256="of the receipt"),
        a_call(attempt=1, path="/api/v1/contexts/1"),
    ]
    run.lines[0] = a_line("attempt.ended", fence=1, outcome="accepted")


def is_quick(run: Run) -> None:
    """So that two writes have one date, which is told with the first only."""
    run.change("renew", updated_at=at(14.999))
    run.change("complete", updated_at=at(14.999))
    dated = run.events["complete"].fields
    told = {name: value for name, value in dated.items() if name != "updated_at"}
    run.events["complete"] = replace(run.events["complete"], fields=told)


def is_rescued(run: Run) -> None:
    """From a worker that vanished, once its lease had run out; and then waited in the queue."""
    run.change("start 1", lease=a_lease(1, -30, token="token_1"))
    run.tell("retry", 3, "lease", status="scheduled", available_at=at(5), crashes=1)
    run.attempts[0] |= {"outcome": "lost", "definite": False}
    run.lines[0] = a_line("context.rescued", fence=1, was="processing")


def is_touched(run: Run) -> None:
    """Another program put it in anew amid its first call."""
    del run.events["retry"], run.events["promote"]
    insert = dict(run.events["insert"].fields)
    run.tell("replace", 3, operation="replace", **insert)
    run.change("claim 2", fence=1)
    run.change("start 2", attempt=1)
    run.attempts = [{"number": 1, "fence": 1, "outcome": "completed"}]
    run.plan = Plan(touched=[ID])


def is_deleted(run: Run) -> None:
    run.lost = True
    run.tell("delete", 20, operation="delete")
    run.plan = Plan(touched=[ID], gone=[ID])


def is_recorded_in_part(run: Run) -> None:
    """What was missed, the second claim, counts for neither side; what is known still does."""
    stored = run.document
    del run.events["claim 2"]
    run.missed = 7
    run.stored = stored


def leaves_dead_letters(run: Run) -> None:
    run.broker = Broker(dead={"generative.XQ": ["bad"]}, named={"dead": [ID]}, known=[ID])
    run.plan = Plan(dead_letters=["bad"])


@pytest.mark.parametrize(
    "happens",
    [
        fails,
        fails_by_a_limit,
        may_fail,
        is_cancelled,
        is_cancelled_and_retried,
        is_cancelled_unseen,
        is_accepted_and_polled,
        is_quick,
        is_rescued,
        is_touched,
        is_deleted,
        is_recorded_in_part,
        leaves_dead_letters,
    ],
)
def test_what_may_happen_is_no_violation(happens: Callable[[Run], None]) -> None:
    """Other runs that are sound, each as its plan says."""
    run = a_run()
    happens(run)
    assert run.violations() == []
