"""Rules about the changes of a context, each beside the one before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from agent.models import ENTRY_STATUSES, FINAL, TRANSITIONS, Change, Status, is_legal
from tests.checker.events import Step, count, is_dated
from tests.checker.history import Life

ON_ITS_WAY = timedelta(seconds=5)
"""For a write to be applied after its date was read off the clock, on a machine that is busy."""
CLOCK_ERROR = timedelta(seconds=1)
"""How far from the server's clock a process may take it to be: half a round trip, on a network that
a test has slowed down or a machine that is busy."""

LEADS_TO: Mapping[str, tuple[str, ...]] = {
    "completed": ("completed",),
    "failed": ("failed",),
    "retry": ("scheduled", "failed"),
    "snooze": ("scheduled",),
    "accepted": ("scheduled",),
    "lost": ("scheduled", "failed"),
}
"""From the outcome of an attempt to what its context became by it."""

STATUSES = frozenset(map(str, Status))
COMPARED = ("status", "fence", "attempt", "generation", "failures", "crashes", "updated_at")
KEPT = ("fence", "attempt", "lease", "failures", "generation", "updated_at", "completed_at")
"""What stays as it is in a context that is final."""


def begins_properly(life: Life) -> Iterator[str]:
    """A new context is pending, scheduled or waiting."""
    for step in life.steps:
        status = step.after.get("status")
        inserted = step.event.operation == "insert"
        if inserted and not step.is_foreign and status not in ENTRY_STATUSES:
            yield f"was inserted as {status}"


def moves_legally(life: Life) -> Iterator[str]:
    """From status to status it goes as the table says."""
    for step in life.steps:
        if step.moved is None:
            continue
        old, new = step.moved
        if not {old, new} <= STATUSES or not is_legal(Status(old), Status(new)):
            yield f"went from {old} to {new} {_at(step)}"


def is_written_by_us_alone(life: Life) -> Iterator[str]:
    """Ours neither replaces nor deletes, and dates every status that it writes."""
    for step in life.steps:
        if step.is_foreign:
            continue
        if step.event.operation in ("replace", "delete"):
            yield f"was {step.event.operation}d {_at(step)}"
        elif step.moved and not is_dated(step.event, step.before, ON_ITS_WAY):
            yield f"became {step.moved[1]} without a date {_at(step)}"


def counts_never_fall(life: Life) -> Iterator[str]:
    """Fence, attempt and generation only ever rise, whatever was missed between."""
    highest: dict[str, int] = {}
    for step in life.steps:
        if step.is_foreign or step.is_adoption:
            highest = {}
        for name in ("fence", "attempt", "generation"):
            value = count(step.after, name)
            if value is None:
                continue
            if value < highest.get(name, value):
                yield f"the {name} fell from {highest[name]} to {value} {_at(step)}"
            highest[name] = value


def each_claim_raises_the_fence(life: Life) -> Iterator[str]:
    """By one, and nothing else changes it."""
    return _rises_with(life, "fence", Change.CLAIM)


def each_start_raises_the_attempt(life: Life) -> Iterator[str]:
    """By one, but for polls, and nothing else changes it."""
    return _rises_with(life, "attempt", Change.START, unless=_is_poll)


def each_retry_raises_the_generation(life: Life) -> Iterator[str]:
    """By one, and nothing else changes it; it begins with no failures and no crashes."""
    yield from _rises_with(life, "generation", Change.RETRY)
    for step in life.steps:
        for name in ("failures", "crashes"):
            if step.moved and step.moved[0] in FINAL and count(step.after, name):
                yield f"began anew with {count(step.after, name)} {name}"


def is_completed_once(life: Life) -> Iterator[str]:
    """In each generation at most one write completes it."""
    completed: Counter[int | None] = Counter()
    for step in life.steps:
        if step.is_foreign:
            completed.clear()
        ended = step.after.get("status") == "completed" and not step.is_foreign
        if ended and not {"status", "completed_at"}.isdisjoint(step.event.fields):
            completed[count(step.after, "generation")] += 1
    for generation, times in completed.items():
        if times > 1:
            yield f"was completed {times} times in generation {generation}"


def is_ended_by_its_holder(life: Life) -> Iterator[str]:
    """What an attempt came to was written while its own fence stood, not by one that was late."""
    if not life.steps or not all(step.is_whole for step in life.steps):
        return
    ended = {
        count(step.after, "fence"): step.moved[1]
        for step in life.steps
        if step.moved and step.moved[0] == "processing"
    }
    for attempt in life.attempts:
        outcome, became = str(attempt.get("outcome")), ended.get(count(attempt, "fence"))
        if became not in LEADS_TO.get(outcome, (became,)):
            fence = attempt.get("fence")
            yield f"says {outcome} at fence {fence}, under which it became {became}"


def stays_as_it_ended(life: Life) -> Iterator[str]:
    """What is final is written no more, but to begin anew."""
    for step in life.steps:
        before = step.before or {}
        if before.get("status") in FINAL and step.moved is None and step.after:
            changed = [name for name in KEPT if before.get(name) != step.after.get(name)]
            if changed:
                yield f"is {before['status']} and was written: {changed} {_at(step)}"


def waits_for_its_time(life: Life) -> Iterator[str]:
    """Nothing becomes pending or is claimed before it is due."""
    for step in life.steps:
        if step.moved in (("scheduled", "pending"), ("pending", "queued")):
            due = step.after.get("available_at")
            if isinstance(due, datetime) and due > step.event.at + CLOCK_ERROR:
                early = (due - step.event.at).total_seconds()
                yield f"became {step.after['status']} {early:.1f} s before its time"


def changes_lead_to_the_document(life: Life) -> Iterator[str]:
    """What is stored in the end is what the changes come to: no write is missing and none was
    taken back."""
    if life.entries is None or life.document is None:
        return
    if not life.steps:
        yield "nothing was told of its changes"
        return
    last = life.steps[-1]
    if not last.is_whole:
        return
    for name in COMPARED:
        told, stored = last.after.get(name), life.document.get(name)
        if told != stored:
            yield f"its changes lead to {name} = {told}, stored is {stored}"


def _rises_with(
    life: Life, name: str, change: Change, unless: Callable[[Step], bool] = lambda _step: False
) -> Iterator[str]:
    """One change raises the count, by one; no other write touches it."""
    transition = TRANSITIONS[change]
    moves = {(str(source), str(transition.target)) for source in transition.sources}
    for step in life.steps:
        counts = step.both(name)
        due = 1 if step.moved in moves and not unless(step) else 0
        if counts is not None and counts[1] - counts[0] != due:
            yield f"the {name} went from {counts[0]} to {counts[1]} {_at(step)}"


def _is_poll(step: Step) -> bool:
    return bool(step.after.get("remote"))


def _at(step: Step) -> str:
    return f"at {step.event.at:%H:%M:%S.%f}"[:-3]
