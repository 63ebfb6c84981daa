"""Rules about what workers and bridges say in their logs, beside what is stored."""

from __future__ import annotations

from collections.abc import Iterator

from tests.checker.history import Life, Line

RECORDED = frozenset({"completed", "failed", "retry", "snooze"})
"""The outcomes that leave an attempt behind."""


def is_said_to_be_completed_once(life: Life) -> Iterator[str]:
    """At most one worker believes that it completed it."""
    said = [line for line in _ended(life) if line.get("outcome") == "completed"]
    if len(said) > 1:
        fences = sorted(str(line.get("fence")) for line in said)
        yield f"was completed by {len(said)} workers, they say, at fences {', '.join(fences)}"


def is_stored_as_it_was_said(life: Life) -> Iterator[str]:
    """An outcome that its worker says it has written is there."""
    if life.document is None:
        return
    stored = {each.get("fence"): each for each in life.attempts}
    oldest = min((fence for fence in stored if isinstance(fence, int)), default=0)
    for line in _ended(life):
        fence, outcome = line.get("fence"), line.get("outcome")
        if outcome not in RECORDED or not isinstance(fence, int) or fence < oldest:
            continue
        found = stored.get(fence, {}).get("outcome")
        if found != outcome:
            yield f"ended {outcome} at fence {fence}, its worker says; stored is {found}"


def is_rescued_once_from_each_owner(life: Life) -> Iterator[str]:
    """No two bridges take it at the same fence."""
    fences = [line.get("fence") for line in life.logged.get("context.rescued", [])]
    for fence in sorted({str(fence) for fence in fences if fences.count(fence) > 1}):
        yield f"was rescued more than once at fence {fence}"


def _ended(life: Life) -> list[Line]:
    return life.logged.get("attempt.ended", [])
