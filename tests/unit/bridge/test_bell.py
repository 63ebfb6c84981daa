"""The bell: rings are gathered, and none is lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bridge.doorbell import Bell, Ring


def test_a_ring_that_came_before_the_wait_is_there() -> None:
    """A round that runs would have dropped it otherwise."""
    bell = Bell()
    bell.ring(Ring.ROOM)
    began = time.monotonic()
    assert bell.wait(60) == Ring.ROOM
    assert time.monotonic() - began < 5


def test_rings_are_gathered_and_taken_once() -> None:
    """However many there were."""
    bell = Bell()
    for ring in (Ring.ROOM, Ring.FOREIGN, Ring.ROOM):
        bell.ring(ring)
    assert bell.wait(0) == Ring.ROOM | Ring.FOREIGN
    assert bell.wait(0) == Ring.NOTHING


def test_silence_ends_the_wait_in_time() -> None:
    """Polling alone is always enough."""
    assert Bell().wait(0.01) == Ring.NOTHING


def test_a_ring_ends_the_wait() -> None:
    """From any thread, at once."""
    bell = Bell()
    timer = threading.Timer(0.02, bell.ring, [Ring.TICK])
    timer.start()
    assert bell.wait(60) == Ring.TICK
    timer.join()


def test_no_ring_of_many_threads_is_lost() -> None:
    """Each one's last ring is seen by the loop, whatever else it is doing."""
    bell, kinds = Bell(), (Ring.ROOM, Ring.FOREIGN, Ring.TICK)
    for _ in range(100):
        together, seen = threading.Barrier(len(kinds)), Ring.NOTHING

        def ring(kind: Ring, together: threading.Barrier = together) -> None:
            together.wait(5)
            bell.ring(kind)

        with ThreadPoolExecutor(len(kinds)) as pool:
            rung = [pool.submit(ring, kind) for kind in kinds]
            while seen != Ring.ROOM | Ring.FOREIGN | Ring.TICK:
                seen |= bell.wait(5)
            assert [each.result() for each in rung] == [None, None, None]
