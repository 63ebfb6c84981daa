"""Ringing the bridge from worker threads, which must not wait for Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PAUSE_SECONDS = 0.01
"""Between two rings of a process; the bridge gathers rings in the same measure."""


class Bell:
    """Rings in a thread of its own, once for all who ask within 10 ms.

    Args:
        ring: does it; may block, and says by itself when it could not.
    """

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Ask for a ring, and return at once."""
        self._asked.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            self._ring()
            time.sleep(PAUSE_SECONDS)
