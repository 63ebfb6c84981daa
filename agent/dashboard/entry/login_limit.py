"""How often somebody may try to sign in: so many tries by name and by address, then a wait."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import timedelta
from ipaddress import ip_address

WINDOW = timedelta(minutes=5)
MOST_OF_A_NAME = 10
MOST_OF_AN_ADDRESS = 30
MOST_KEPT = 10_000
"""Names and addresses; whoever invents more of them has the oldest forgotten."""


class LoginLimit:
    """Tries of the last minutes, in this process."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tries: OrderedDict[str, list[float]] = OrderedDict()

    def take(self, name: str, address: str) -> float:
        """Take a try: 0, or in how many seconds there will be one.

        Taken before the password is looked at, so that many at once get no more of them.
        """
        mine, of_address = f"name {name}", f"address {address}"
        with self._lock:
            seconds = max(
                self._wait(mine, MOST_OF_A_NAME), self._wait(of_address, MOST_OF_AN_ADDRESS)
            )
            if seconds <= 0:
                self._note(mine)
                self._note(of_address)
        return seconds

    def forgive(self, name: str) -> None:
        """The right password has come: what was wrong before were slips."""
        with self._lock:
            self._tries.pop(f"name {name}", None)

    def _note(self, key: str) -> None:
        self._tries[key] = [*self._recent(key), self._monotonic()]
        self._tries.move_to_end(key)
        while len(self._tries) > MOST_KEPT:
            self._tries.popitem(last=False)

    def _wait(self, key: str, most: int) -> float:
        recent = self._recent(key)
        if len(recent) < most:
            return 0.0
        return recent[-most] + WINDOW.total_seconds() - self._monotonic()

    def _recent(self, key: str) -> list[float]:
        since = self._monotonic() - WINDOW.total_seconds()
        return [at for at in self._tries.get(key, []) if at > since]


def address_of(peer: str | None, forwarded: Iterable[str]) -> str:
    """Who asks. Behind a proxy of one's own network that is whom the proxy names last; a stranger's
    word for it is not taken."""
    try:
        behind = peer is not None and ip_address(peer).is_private
    except ValueError:
        behind = False
    named = [word.strip() for line in forwarded for word in line.split(",") if word.strip()]
    return named[-1][:64] if behind and named else (peer or "unknown")
