"""`/healthz` and `/readyz`."""

from collections.abc import Callable
from typing import Any

import redis

from agent.api.health import Cached

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
