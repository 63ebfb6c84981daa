"""The faults that a call, or an operator, may ask for: their vocabulary, checked.

| key | effect |
|---|---|
| `latency_seconds` | waits before anything else |
| `status` | 300 and above: an error reply, work undone; 2xx: the honest reply under that status |
| `retry_after` | `Retry-After`: seconds, or `"date:N"`, an HTTP date N seconds ahead; 429 alone |
| `times` | the fault hits the first N calls of an Idempotency-Key only |
| `recipient` | the fault hits calls for this recipient only, as an address that is blocked |
| `drip_seconds_per_byte` | the body comes byte by byte |
| `garbage` | HTML nonsense for a body |
| `cut_short` | Content-Length promises more than is sent, then the connection closes |
| `success_false` | `{"success": false}`, work undone |
| `retryable` | says so in that reply |
| `accepted_seconds` | 202 and a status URL, final after that long |
| `accepted_style` | `"location"`, or `"body"`: 200 with `{"status": "accepted", "id": …}` |
| `redirect` | 302 to the same path, or to the URL given |
| `huge_bytes` | the JSON reply padded to that size |
| `gzip_bomb_bytes` | a small gzip body that unpacks to that size |
| `deep` | JSON nested that deep |
| `chunked` | no Content-Length: the body comes in chunks, its end unannounced |
| `close` | the connection closes without a reply, work undone |
| `work_done` | the work is done all the same, though the reply fails or never comes |
| `down` | (service-wide only) work calls and status polls are closed unread |

They combine. Where two exclude each other the first of these holds: `close`, `redirect`, `status`,
`success_false`; and for the body `garbage`, `deep`, `gzip_bomb_bytes`, `huge_bytes`. "429 alone":
with neither `status` nor `accepted_seconds`. Status polls know the service-wide fault only, and of
it what concerns time, status, body and connection.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from agent.sandbox.replies import Refused

LONGEST_SECONDS = 3600.0
MOST_BYTES = 1 << 30
DEEPEST = 1_000_000
REMEMBERED_KEYS = 100_000  # of which `times` is counted; the oldest are forgotten first

_RETRY_DATE = re.compile(r"date:(-?\d{1,6})", re.ASCII)
_URL = re.compile(r"[!-~]{1,2000}")  # printable ASCII: nothing that could end a header


@dataclass(frozen=True, slots=True)
class Fault:
    """How one call is to go wrong; the default is not at all."""

    latency_seconds: float = 0.0
    status: int | None = None
    retry_after: int | str | None = None
    times: int | None = None
    recipient: str | None = None
    drip_seconds_per_byte: float = 0.0
    garbage: bool = False
    cut_short: bool = False
    success_false: bool = False
    retryable: bool | None = None
    accepted_seconds: float | None = None
    accepted_style: str = "location"
    redirect: bool | str = False
    huge_bytes: int = 0
    gzip_bomb_bytes: int = 0
    deep: int = 0
    chunked: bool = False
    close: bool = False
    work_done: bool = False
    down: bool = False

    @property
    def error_status(self) -> int | None:
        """The status of the error reply asked for, if one is."""
        if self.status is not None:
            return self.status if self.status >= 300 else None
        alone = self.retry_after is not None and self.accepted_seconds is None
        return 429 if alone else None


NO_FAULT = Fault()


def parse_fault(asked: object, *, service_wide: bool = False) -> Fault:
    """The fault that a JSON value asks for.

    Raises:
        Refused: 422 that names the key which is unknown or has a wrong value.
    """
    if not isinstance(asked, Mapping):
        raise Refused(422, "sandbox must be an object")
    for key, value in asked.items():
        if key not in _CHECKS or (key == "down" and not service_wide):
            raise Refused(422, f"sandbox.{key} is unknown; known are {', '.join(_CHECKS)}")
        wanted, fits = _CHECKS[key]
        if not fits(value):
            raise Refused(422, f"sandbox.{key} must be {wanted}")
    return Fault(**asked)


def retry_after_header(retry_after: int | str, now: datetime) -> str:
    """The header's value: seconds as they are, `date:N` as an HTTP date N seconds after `now`."""
    if isinstance(retry_after, int):
        return str(retry_after)
    ahead = timedelta(seconds=int(retry_after.removeprefix("date:")))
    return format_datetime((now + ahead).astimezone(UTC), usegmt=True)


class Turns:
    """Counts the calls of each key, so that a fault may hit only the first few of them."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()

    def hits(self, fault: Fault, key: str) -> bool:
        """Whether the fault hits this call, which counts as one turn of its key."""
        if fault.times is None:
            return True
        seen = self._seen.pop(key, 0)
        self._seen[key] = seen + 1
        if len(self._seen) > REMEMBERED_KEYS:
            self._seen.popitem(last=False)
        return seen < fault.times


_Check = tuple[str, Callable[[Any], bool]]


def _seconds() -> _Check:
    def fits(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and 0 <= value <= LONGEST_SECONDS

    return f"a number of seconds from 0 to {LONGEST_SECONDS:.0f}", fits


def _whole(least: int, most: int) -> _Check:
    def fits(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return f"a whole number from {least} to {most}", fits


def _is_retry_after(value: Any) -> bool:
    if isinstance(value, str):
        return _RETRY_DATE.fullmatch(value) is not None
    return _whole(0, 10**9)[1](value)


def _is_redirect(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and bool(_URL.fullmatch(value)))


_FLAG: _Check = ("true or false", lambda value: isinstance(value, bool))

_CHECKS: dict[str, _Check] = {
    "latency_seconds": _seconds(),
    "status": _whole(200, 599),
    "retry_after": ('seconds as a whole number, or "date:N"', _is_retry_after),
    "times": _whole(0, 10**9),
    "recipient": ("a text", lambda value: isinstance(value, str)),
    "drip_seconds_per_byte": _seconds(),
    "garbage": _FLAG,
    "cut_short": _FLAG,
    "success_false": _FLAG,
    "retryable": _FLAG,
    "accepted_seconds": _seconds(),
    "accepted_style": ('"location" or "body"', lambda value: value in ("location", "body")),
    "redirect": ("true, false or a URL", _is_redirect),
    "huge_bytes": _whole(0, MOST_BYTES),
    "gzip_bomb_bytes": _whole(0, MOST_BYTES),
    "deep": _whole(0, DEEPEST),
    "chunked": _FLAG,
    "close": _FLAG,
    "work_done": _FLAG,
    "down": _FLAG,
}
