"""How a call was answered, in one word: by it the recent replies of a service are counted. Pure.

The word is read from the attempt as it is stored, so what Redis lost MongoDB tells again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from agent.fingerprint import fingerprint_of
from agent.projections.signals import SUCCESSES

OK = "2xx"
"""Which one it was is not kept of a call that went well."""
THROTTLING = "429"
REFUSED = "refused"
"""A 2xx that says of itself that it failed."""
UNUSABLE = "unusable"
"""Any other 2xx that brought no result."""
TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
"""There was no connection, and nothing was sent."""
NO_REPLY = "no reply"
"""Something was sent, and no whole reply came back."""
NOT_SENT = "not sent"
"""Nothing could be sent: the fault of what was to be sent."""
TOO_LARGE = "too large"
TLS = "tls"
OTHER = "other"

MOST = 12
"""Different words of one service in one minute; whatever else there was is counted as `other`."""

_BY_TYPE = {
    "RequestNotSendable": NOT_SENT,
    "PlaceholderMissing": NOT_SENT,
    "ReplyTooLarge": TOO_LARGE,
    "TlsFailed": TLS,
    "ServiceUnavailable": UNREACHABLE,
    "OutcomeUnknown": NO_REPLY,
}
_WITHOUT_REPLY = ("ServiceUnavailable", "OutcomeUnknown", "ReceiverUnavailable")
_LATE = (
    "no whole reply within the deadline", "no connection within the deadline",
    "cannot connect to host:80: timed out", "nothing was sent: timed out",
    "TLS with host:80 was cut off: timed out",
)  # fmt: skip
_TIMEOUTS = frozenset(
    fingerprint_of(kind, before + message)
    for kind, before, message in product(
        _WITHOUT_REPLY, ("", "the work may have been done: "), _LATE
    )
)
"""By the kind of the error, as its message is not read again when minutes are built anew."""


def reply_word(attempt: Mapping[str, Any]) -> str:
    """How the call of this attempt was answered.

    Args:
        attempt: as it is stored; another program may have written anything there.
    """
    outcome = attempt.get("outcome")
    if isinstance(outcome, str) and outcome in SUCCESSES:
        return OK
    error = attempt.get("error")
    error = error if isinstance(error, Mapping) else {}
    kind, status = error.get("type"), error.get("status_code")
    if isinstance(status, int) and 200 <= status < 300:
        return REFUSED if kind == "ServiceRefused" else UNUSABLE
    if isinstance(status, int) and 100 <= status < 600:
        return f"{status:d}"
    return _without_reply(kind, error.get("fingerprint"), attempt.get("definite", True))


def _without_reply(kind: Any, fingerprint: Any, definite: Any) -> str:
    if not isinstance(kind, str):
        return OTHER
    if isinstance(fingerprint, str) and fingerprint in _TIMEOUTS:
        return TIMEOUT
    if kind == "ReceiverUnavailable":
        return UNREACHABLE if definite else NO_REPLY
    return _BY_TYPE.get(kind, OTHER)


def bounded(counts: Mapping[str, int], most: int = MOST) -> dict[str, int]:
    """The same with so many words at most: the rarest are counted together."""
    ranked = sorted(counts.items(), key=lambda each: -each[1])
    if len(ranked) <= most:
        return dict(ranked)
    kept = dict(ranked[: most - 1])
    kept[OTHER] = kept.get(OTHER, 0) + sum(count for _, count in ranked[most - 1 :])
    return kept
