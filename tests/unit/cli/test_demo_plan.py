"""What the demo puts in, and how it judges what came of it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from agent.cli.demo.figures import figures, waits_by_priority
from agent.cli.demo.plan import Planned, plan
from agent.cli.demo.verdict import Seen, differences
from agent.intake.foreign import read_foreign
from agent.intake.request_service import read_request
from agent.models import Document
from agent.sandbox.faults import parse_fault
from agent.services import ServiceRegistry
from tests.factories import LONG_AGO, a_context


def of_kind(what: str, service_type: str = "COMMUNICATION") -> Planned:
    """The first one planned of this kind."""
    return next(
        each for each in plan() if (each.service_type, each.course.what) == (service_type, what)
    )


def as_it_should_be(planned: Planned) -> Document:
    """The context that it should become."""
    course = planned.course
    return a_context(
        **{"_id": "c", "service_type": planned.service_type, "status": course.status,
           "attempt": course.calls[0], "failures": course.failures[0],
           "results": {**planned.results}, "fence": 1,
           "error": {"type": course.error, "message": "m"} if course.error else None}
    )  # fmt: skip


def seen(planned: Planned) -> Seen:
    """What the services should have seen of it."""
    return Seen({"c": planned.course.calls[0]}, {"c": planned.course.deliveries})


def test_it_is_big_enough_and_the_same_every_time() -> None:
    """Three hundred at least, of all three types, two of them other programs'."""
    counts = Counter(planned.service_type for planned in plan())
    assert counts == {"GENERATIVE": 136, "ANALYSIS": 120, "COMMUNICATION": 107}
    assert sum(planned.document is not None for planned in plan()) == 2
    assert plan() == plan()


def test_every_request_can_be_read_and_every_fault_is_known() -> None:
    """A slip in the plan shows here, not in front of somebody who tries the project."""
    for planned in plan():
        if planned.document is None:
            request = read_request(planned.submitted(LONG_AGO))
            template = request.template.service_template if request.template else {}
            asked = template.get("notification", {}).get("metadata") or request.data
            parse_fault(asked["sandbox"])
            continue
        read_foreign(
            planned.document,
            registry=ServiceRegistry(),
            find_template=lambda _: {"id": "welcome", "service_template": {"prompt": "x"}},
            now=LONG_AGO,
            max_attempts=lambda _: 20,
        )


def test_what_is_as_planned_is_no_difference() -> None:
    """One of each kind, as it should be."""
    for planned in plan():
        if planned.document is None:
            assert differences([planned], [as_it_should_be(planned)], seen(planned)) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "failed"}, "status: 'failed' instead of 'completed'"),
        ({"attempt": 2}, "calls: 2 instead of 1"),
        ({"failures": None}, "failures: None instead of 0"),
        ({"lease": {"owner": "w"}}, "lease: {'owner': 'w'} instead of None"),
        ({"error": {"type": "X"}}, "error: 'X' instead of None"),
        ({"results": None}, "results.status: None instead of 'delivered'"),
    ],
)
def test_what_differs_is_named(fields: dict[str, Any], expected: str) -> None:
    """The context, its kind, and what is wrong with it."""
    planned = of_kind("a message")
    found = differences([planned], [{**as_it_should_be(planned), **fields}], seen(planned))
    assert f"c (COMMUNICATION, a message): {expected}" in found


@pytest.mark.parametrize("delivered", [0, 2])
def test_each_message_is_delivered_exactly_once(delivered: int) -> None:
    """Neither lost nor doubled, by the outbox's own account."""
    planned = of_kind("a message")
    found = differences([planned], [as_it_should_be(planned)], Seen({"c": 1}, {"c": delivered}))
    assert found == [
        f"c (COMMUNICATION, a message): deliveries in the outbox: {delivered} instead of 1"
    ]


def test_a_context_that_is_gone_is_a_difference() -> None:
    """Nothing may get lost."""
    found = differences([of_kind("a message")], [None], Seen({}, {}))
    assert found == ["COMMUNICATION, a message: the context is gone"]


def test_figures() -> None:
    """What the closing table says."""
    documents = [
        a_context(status="completed", attempt=1, attempts=[attempt(10)]),
        a_context(status="completed", attempt=2, attempts=[attempt(20), attempt(30)]),
        a_context(status="failed", attempt=1, attempts=[attempt(40)]),
        a_context(status="cancelled"),
    ]
    found = figures("X", documents)
    assert (found.contexts, found.completed, found.retried, found.failed, found.cancelled) == (
        4, 2, 1, 1, 1,
    )  # fmt: skip
    assert [found.percentile(0.5), found.percentile(0.95)] == [20, 40]
    assert figures("X", []).percentile(0.5) is None


def test_waits_by_priority() -> None:
    """From when a context was made to its first call, at the median."""
    documents = [
        a_context(priority=9, attempts=[attempt(1, seconds)], attempt=1) for seconds in (1, 5, 6)
    ]
    assert waits_by_priority([*documents, a_context(priority=1)]) == {9: 5.0}


def attempt(duration_ms: int, began_after: float = 0) -> dict[str, Any]:
    """An attempt as it is recorded."""
    began = LONG_AGO + timedelta(seconds=began_after)
    return {"number": 1, "outcome": "completed", "duration_ms": duration_ms, "started_at": began}
