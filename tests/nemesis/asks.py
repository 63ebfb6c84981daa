"""What the contexts of the workload ask of their services, and how each of them may end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of context.

    Args:
        fault: what its calls ask the sandbox to do wrong.
        may_fail: the errors that it may fail with; it may as well complete, where another fault of
            its service comes first.
        max_attempts: failures that it may have.
    """

    fault: Mapping[str, Any] = field(default_factory=dict)
    may_fail: frozenset[str] = frozenset()
    max_attempts: int | None = None


def _fails(*errors: str, attempts: int | None = None, **fault: Any) -> Ask:
    return Ask(fault, frozenset(errors), attempts)


ANY: Mapping[str, Ask] = {
    "plain": Ask(),
    "short": Ask({"latency_seconds": 0.3}),
    "slow": Ask({"latency_seconds": 2.0}),
    "slower": Ask({"latency_seconds": 3.5}),
    "dripping": Ask({"drip_seconds_per_byte": 0.004}),
    "accepted": Ask({"accepted_seconds": 1.0}),
    "accepted in the body": Ask({"accepted_seconds": 2.0, "accepted_style": "body"}),
    "busy at first": Ask({"retry_after": 1, "times": 1}),
    "busy until a date": Ask({"retry_after": "date:2", "times": 1}),
    "unavailable twice": Ask({"status": 503, "times": 2}),
    "rejected": _fails("ServiceRejected", status=422),
    "refused": _fails("ServiceRefused", success_false=True),
    "refused at first": Ask({"success_false": True, "retryable": True, "times": 1}),
}
"""For every service: no outcome here is unknown."""

REPEATED: Mapping[str, Ask] = {
    "error at first": Ask({"status": 500, "times": 1}),
    "cut short at first": Ask({"cut_short": True, "times": 1}),
    "garbage at first": Ask({"garbage": True, "times": 1}),
    "hangs up at first": Ask({"close": True, "work_done": True, "times": 1}),
    "too slow at first": Ask({"latency_seconds": 30.0, "times": 1}),
    "redirected": _fails("UnexpectedRedirect", redirect=True),
    "never well": _fails("ServiceFailed", attempts=2, status=500),
}
"""For services whose unknown outcomes are called again."""

PARKED: Mapping[str, Ask] = {
    "sent and hung up": _fails("OutcomeUnknown", close=True, work_done=True),
    "sent and cut short": _fails("OutcomeUnknown", cut_short=True),
    "sent and garbage": _fails("OutcomeUnknown", garbage=True),
    "sent and an error": _fails("OutcomeUnknown", status=500, work_done=True),
}
"""For a service whose unknown outcomes are left to an operator."""

ASKS: Mapping[str, Ask] = {**ANY, **REPEATED, **PARKED}
BY_SERVICE: Mapping[str, tuple[str, ...]] = {
    GENERATIVE.name: (*ANY, *REPEATED),
    ANALYSIS.name: (*ANY, *REPEATED),
    COMMUNICATION.name: (*ANY, *PARKED),
}
SERVICES: Mapping[str, ServiceType] = {
    service.name: service for service in (GENERATIVE, ANALYSIS, COMMUNICATION)
}

FOREIGN = ("whole", "bare", "tagged", "with an id of its own", "with a number for an id")
"""The shapes of other programs' documents that can be read."""
UNREADABLE = ("unknown service", "no request", "no template")
UNREADABLE_ERROR = "ContextUnreadable"


def may_fail_with(ask: str, service: str | None, *, has_deadline: bool) -> frozenset[str]:
    """The errors that a context may fail with, whatever happens to it."""
    errors = ASKS[ask].may_fail if ask in ASKS else frozenset()
    if ask in UNREADABLE:
        errors |= {UNREADABLE_ERROR}
    if service == COMMUNICATION.name:
        errors |= {"OutcomeUnknown"}  # its worker may have died amid any call
    return errors | {"DeadlineExceeded"} if has_deadline else errors
