"""What is wrong, in plain words, the weightiest first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.admission.gate import GateState
from agent.dashboard.seen.answers import said
from agent.dashboard.seen.look import Look, ServiceView
from agent.dashboard.seen.recent import FEWEST_CALLS, MINUTES, Recent
from agent.dashboard.words import number, text
from agent.words import moment, span

OLD = timedelta(minutes=10)
"""What has been due for longer than this is worth a word."""
BAD_SHARE = 0.5
LONGEST_REASON = 160


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong, and the page that shows more."""

    says: str
    page: str = ""


def troubles(seen: Look) -> Iterator[Trouble]:
    """All that is wrong."""
    if seen.workers is None:
        yield Trouble("Redis does not answer: nothing new starts, and which workers live is not "
                      "known.", "bridge")  # fmt: skip
    if seen.leader is None:
        yield Trouble("No bridge leads, so nothing starts except by workers that run alone.",
                      "bridge")  # fmt: skip
    for each in seen.services:
        yield from _of_service(each, seen.now)


def _of_service(service: ServiceView, now: datetime) -> Iterator[Trouble]:
    waiting = _waiting(service.pending)
    pause = service.pause
    if pause is not None and service.state is GateState.PAUSED:
        why = f": {text(pause.reason, LONGEST_REASON)}" if pause.reason else ""
        until = f", until {moment(pause.until)}" if pause.until is not None else ""
        yield Trouble(f"{service.name} has been paused by {pause.by} for "
                      f"{span(now - pause.since)}{until}{why}; {waiting}.", "services")  # fmt: skip
    elif pause is not None:
        yield Trouble(f"{service.name} was paused by {pause.by}; one call finds out "
                      f"whether it is well again; {waiting}.", "services")  # fmt: skip
    elif service.workers == 0 and service.pending:
        yield Trouble(f"No worker is alive for {service.name}; {waiting}.", "workers")
    elif service.oldest is not None and now - service.oldest > OLD:
        yield Trouble(f"The oldest context of {service.name} has been due for "
                      f"{span(now - service.oldest)}; {waiting}.", "services")  # fmt: skip
    if service.recent is not None and _is_bad(service.recent):
        yield Trouble(f"{_what_is_bad(service.name, service.recent)}; {waiting}.",
                      f"retries?service={service.name}")  # fmt: skip
    elif service.recent is not None and service.is_throttled and pause is None:
        share = f"{service.recent.throttled:.0%}"
        yield Trouble(f"{service.name} answers 429 to {share} of its calls: it is asked for more "
                      f"than it takes; {waiting}.", "services")  # fmt: skip


def _is_bad(recent: Recent) -> bool:
    return recent.calls >= FEWEST_CALLS and recent.bad_share >= BAD_SHARE


def _what_is_bad(name: str, recent: Recent) -> str:
    """By what calls were answered, where most were answered alike."""
    word, share = recent.worst
    calls, lately = number(recent.calls), f"in the last {MINUTES} minutes"
    if share < BAD_SHARE:
        return f"{recent.bad_share:.0%} of the {calls} calls to {name} {lately} brought no result"
    if word.isdecimal():
        return f"{name} answered {word} to {share:.0%} of its {calls} calls {lately}"
    return f"{share:.0%} of the {calls} calls to {name} {lately} brought no result: {said(word)}"


def _waiting(pending: int) -> str:
    return "1 context waits" if pending == 1 else f"{number(pending)} contexts wait"
