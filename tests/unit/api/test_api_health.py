"""`/healthz` and `/readyz`."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from agent.api.health import Cached
from agent.errors import StoreUnavailable

Browse = Callable[..., Any]


def test_the_process_is_alive_whatever_is_away(
    repository: Any, away: redis.Redis, browse: Browse
) -> None:
    """A platform does not restart `web` because MongoDB is down."""
    repository.away = True
    assert browse(away).get("/healthz").json() == {"status": "alive"}
    assert repository.asked == 0


def test_ready_when_both_servers_answer(repository: Any, browse: Browse) -> None:
    """Each dependency is named; a missing leader is told but does not make it unready."""
    reply = browse().get("/readyz")
    assert reply.status_code == 200
    assert reply.json() == {
        "ready": True,
        "dependencies": {
            "mongodb": {"ok": True},
            "redis": {"ok": True},
            "bridge": {"ok": False, "error": "no bridge leads", "informational": True},
        },
    }


def test_a_leading_bridge_is_told(repository: Any, browse: Browse) -> None:
    """Who looks at /readyz sees that admission goes on."""
    repository.leading = {"owner": "h:1"}
    found = browse().get("/readyz").json()["dependencies"]["bridge"]
    assert found == {"ok": True, "informational": True}


def test_not_ready_without_mongodb_and_no_secret_is_told(repository: Any, browse: Browse) -> None:
    """503, its name, why, and no password."""
    repository.away = True
    reply = browse().get("/readyz")
    assert reply.status_code == 503
    found = reply.json()["dependencies"]
    assert found["mongodb"] == {"ok": False, "error": "no answer from mongodb://***@h:1"}
    assert found["redis"] == {"ok": True}
    assert found["bridge"] == {"ok": None, "informational": True}


def test_not_ready_without_redis(away: redis.Redis, browse: Browse) -> None:
    """503, and it is Redis that is named."""
    reply = browse(away).get("/readyz")
    assert reply.status_code == 503
    assert not reply.json()["dependencies"]["redis"]["ok"]
    assert reply.json()["dependencies"]["mongodb"]["ok"]


def test_a_value_is_held_for_two_seconds() -> None:
    """However many ask, it is computed once in that time."""
    now, computed = [0.0], [0]

    def compute() -> int:
        computed[0] += 1
        return computed[0]

    cached = Cached(compute, monotonic=lambda: now[0])
    seen = []
    for moment in (0.0, 1.9, 2.0, 3.9, 4.0):
        now[0] = moment
        seen.append(cached())
    assert seen == [1, 1, 2, 2, 3]


def test_what_was_forgotten_is_computed_for_those_who_ask_afterwards() -> None:
    """Forgetting waits for nobody, and those who asked before it share one value."""
    begun, go_on, computed = threading.Event(), threading.Event(), [0]

    def compute() -> int:
        computed[0] += 1
        if computed[0] == 1:
            begun.set()
            assert go_on.wait(10)
        return computed[0]

    cached = Cached(compute)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(cached)
        assert begun.wait(10)
        cached.forget()  # while it is computed
        later = [pool.submit(cached) for _ in range(8)]
        go_on.set()
        assert first.result(10) == 1
        assert {each.result(10) for each in later} == {2}


def test_a_failure_is_told_to_all_for_a_moment() -> None:
    """A server that does not answer is not asked by each of those who wait."""
    now, computed = [0.0], [0]

    def compute() -> int:
        computed[0] += 1
        raise StoreUnavailable("away")

    cached = Cached(compute, monotonic=lambda: now[0])
    for moment, count in ((0.0, 1), (0.9, 1), (1.0, 2)):
        now[0] = moment
        with pytest.raises(StoreUnavailable):
            cached()
        assert computed[0] == count
