"""What an outcome means for its context, beside what others of its service came to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent import outcomes
from agent.models import Document, ErrorRecord
from agent.outcomes import SERVICE_AT_FAULT, Kind, Outcome
from agent.workers.settle import MAX_SNOOZES, is_failing, is_forbidden, weigh
from tests.factories import a_context

SECOND = timedelta(seconds=1)
ERROR = ErrorRecord(type="ServiceFailed", message="the service answered 500", status_code=500)


def snoozed(snoozes: int) -> Document:
    """A context that waited so many times in a row."""
    return a_context(status="processing", snoozes=snoozes)


def test_a_snooze_too_many_counts_as_a_failure() -> None:
    """After a hundred in a row; the service's pause stands."""
    outcome = outcomes.snooze(ERROR, 5 * SECOND, 9 * SECOND)
    before = weigh(outcome, snoozed(MAX_SNOOZES - 2), refused_alone=False)
    assert before == outcome
    after = weigh(outcome, snoozed(MAX_SNOOZES - 1), refused_alone=False)
    assert (after.kind, after.pause) == (Kind.RETRY, 9 * SECOND)


def test_one_that_is_refused_alone_counts_a_failure_and_pauses_nobody() -> None:
    """Others of its service succeed meanwhile; a first refusal is still no proof."""
    outcome = outcomes.snooze(ERROR, 5 * SECOND, 9 * SECOND)
    assert weigh(outcome, snoozed(0), refused_alone=True) == outcome
    after = weigh(outcome, snoozed(1), refused_alone=True)
    assert (after.kind, after.pause, after.delay) == (Kind.RETRY, None, 5 * SECOND)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.SNOOZE])
def test_only_snoozes_are_weighed(kind: Kind) -> None:
    """Every other outcome is what it is."""
    outcome = Outcome(kind, error=ERROR)
    assert weigh(outcome, snoozed(MAX_SNOOZES), refused_alone=True) is outcome


@pytest.mark.parametrize("kind", sorted(SERVICE_AT_FAULT))
def test_faults_of_the_service_are_told_from_those_of_a_context(kind: str) -> None:
    """The breaker counts the first only."""
    assert is_failing(outcomes.retry(ErrorRecord(type=kind, message="…")))
    assert not is_failing(outcomes.failed(ErrorRecord(type="ServiceRejected", message="…")))
    assert not is_failing(outcomes.completed({}))


def test_a_403_is_told_by_its_code() -> None:
    """Whatever kind of outcome it came to."""
    refused = ErrorRecord(type="Forbidden", message="no", status_code=403)
    assert is_forbidden(outcomes.failed(refused))
    assert is_forbidden(outcomes.snooze(refused))
    assert not is_forbidden(outcomes.failed(ERROR))
    assert not is_forbidden(outcomes.completed({}))
