"""What the demo puts in, and what has to come of each: pure, and the same every time.

The sandbox's faults (see `agent.sandbox.faults`) make calls go wrong in every way that has an
outcome of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent.cli.demo.bodies import (
    Body,
    foreign_documents,
    message,
    notification,
    prompt,
    rows,
    series,
)
from agent.models import Document, Status

SEED = 17
SLOWEST_SECONDS = 0.12
"""Calls take up to so long, so that there is something to see."""
DELAY = timedelta(seconds=2)
NEVER = timedelta(hours=1)

Range = tuple[int, int]
"""The least and the most."""
FIRST, LAST, ANY = (1, 2), (6, 10), (1, 10)
"""Priorities."""


@dataclass(frozen=True, slots=True)
class Course:
    """How it goes for some contexts of one kind.

    Args:
        fault: what the sandbox is asked to do wrong.
        calls: attempts that it takes; asking for accepted work is none.
        failures: how many of them count as failures.
        error: the type of the error of one that fails.
        deliveries: messages in the outbox, where there is one to be.
        delay: until it may run at all.
        cancelled: an operator cancels it.
    """

    what: str
    count: int
    make: Callable[[random.Random], Body]
    fault: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status.COMPLETED
    calls: Range = (1, 1)
    failures: Range = (0, 0)
    error: str | None = None
    deliveries: int = 1
    delay: timedelta | None = None
    cancelled: bool = False

    @property
    def priorities(self) -> Range:
        """What makes a service pause comes early, and what fails late: so the call that ends a
        pause is hardly ever one that fails, which would pause the service for longer."""
        if "retry_after" in self.fault:
            return FIRST
        return LAST if self.fault.get("status", 0) >= 500 or self.failures != (0, 0) else ANY


ONCE, TWICE = (1, 1), (2, 2)
AGAIN, AT_MOST_ONCE = (2, 3), (0, 1)
"""After a 429, which counts only where one is refused again while others succeed."""

COURSES: Mapping[str, Sequence[Course]] = {
    "GENERATIVE": (
        Course("a plain one", 96, prompt),
        Course("503 once", 8, prompt, {"status": 503, "times": 1}, calls=TWICE, failures=ONCE),
        Course("500 twice", 3, prompt, {"status": 500, "times": 2}, calls=(3, 3), failures=TWICE),
        Course("garbage once", 3, prompt, {"garbage": True, "times": 1}, calls=TWICE,
               failures=ONCE),
        Course("cut off once", 2, prompt, {"close": True, "times": 1}, calls=TWICE, failures=ONCE),
        Course("429 with Retry-After", 4, prompt, {"retry_after": 1, "times": 1}, calls=AGAIN,
               failures=AT_MOST_ONCE),
        Course("accepted, then asked for", 6, prompt, {"accepted_seconds": 1}),
        Course("422", 3, prompt, {"status": 422}, Status.FAILED, error="ServiceRejected"),
        Course("success: false", 3, prompt, {"success_false": True}, Status.FAILED,
               error="ServiceRefused"),
        Course("not before then", 4, prompt, delay=DELAY),
        Course("cancelled", 2, prompt, status=Status.CANCELLED, calls=(0, 0), delay=NEVER,
               cancelled=True),
    ),
    "ANALYSIS": (
        Course("a series", 60, series),
        Course("a table", 36, rows),
        Course("503 once", 8, series, {"status": 503, "times": 1}, calls=TWICE, failures=ONCE),
        Course("success: false, retryable", 3, rows,
               {"success_false": True, "retryable": True, "times": 1}, calls=TWICE, failures=ONCE),
        Course("cut short once", 2, rows, {"cut_short": True, "times": 1}, calls=TWICE,
               failures=ONCE),
        Course("429 with Retry-After", 3, series, {"retry_after": 1, "times": 1}, calls=AGAIN,
               failures=AT_MOST_ONCE),
        Course("accepted in the body", 5, series,
               {"accepted_seconds": 1, "accepted_style": "body"}),
        Course("nothing to analyse", 3, lambda _: Body({}, {}, {}), status=Status.FAILED,
               error="ServiceRefused"),
    ),
    "COMMUNICATION": (
        Course("a message", 50, message),
        Course("a notification", 34, notification),
        Course("503 once", 6, message, {"status": 503, "times": 1}, calls=TWICE, failures=ONCE),
        Course("a notification, 503 once", 4, notification, {"status": 503, "times": 1},
               calls=TWICE, failures=ONCE),
        Course("429 with Retry-After", 3, message, {"retry_after": 1, "times": 1}, calls=AGAIN,
               failures=AT_MOST_ONCE),
        Course("accepted, then asked for", 3, message, {"accepted_seconds": 1}),
        Course("403", 2, message, {"status": 403}, Status.FAILED, error="Forbidden",
               deliveries=0),
        Course("no recipient", 2, lambda _: Body({"message": "Hello"}, {}, {}),
               status=Status.FAILED, error="ServiceRejected", deliveries=0),
        Course("500 after delivery", 2, message, {"status": 500, "work_done": True},
               Status.FAILED, error="OutcomeUnknown"),
        Course("500 without delivery", 1, message, {"status": 500}, Status.FAILED,
               error="OutcomeUnknown", deliveries=0),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """One context to be, and what has to come of it.

    Args:
        request: what is submitted; None for a document that another program inserts.
        document: that document.
        results: what has to stand in the results, among other things.
    """

    service_type: str
    course: Course
    request: Mapping[str, Any] | None
    document: Document | None
    results: Mapping[str, Any]

    def submitted(self, now: datetime) -> dict[str, Any]:
        """The request, at the database's time."""
        due = {} if self.course.delay is None else {"available_at": now + self.course.delay}
        return {**(self.request or {}), **due}


def plan() -> list[Planned]:
    """Everything that the demo does, mixed well."""
    chance = random.Random(SEED)
    planned = [*_from_courses(chance), *_from_others()]
    chance.shuffle(planned)
    return planned


def _from_courses(chance: random.Random) -> Iterator[Planned]:
    for service_type, courses in COURSES.items():
        for course in courses:
            for _ in range(course.count):
                body = course.make(chance)
                fault = {**course.fault} or {
                    "latency_seconds": round(chance.uniform(0.01, SLOWEST_SECONDS), 3)
                }
                request = {
                    **body.request(service_type, fault),
                    "priority": chance.randint(*course.priorities),
                    "user_id": f"user:{chance.randint(1, 40)}",
                }
                yield Planned(service_type, course, request, None, body.results)


def _from_others() -> Iterator[Planned]:
    for document, results in foreign_documents():
        course = Course("another program's", 1, prompt)
        yield Planned("GENERATIVE", course, None, document, results)
