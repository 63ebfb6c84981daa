"""Servers that are not there yet when our processes start."""

from __future__ import annotations

import sys

import pytest

from agent.services import GENERATIVE
from tests.faults.line import LineFactory
from tests.faults.proxy import Proxy
from tests.recovery import Recovery
from tests.servers import RedisServer
from tests.waiting import wait_until

NAMES = {"mongodb": "MongoDB", "redis": "Redis"}


@pytest.mark.parametrize("away", ["mongodb", "redis"])
def test_a_server_away_at_start_is_waited_for(
    new_line: LineFactory, mongodb_uri: str, own_redis: RedisServer, recovery: Recovery, away: str
) -> None:
    """Bridge and worker say so and go on living; when it comes they work."""
    with Proxy.before(mongodb_uri) as mongodb, Proxy.before(own_redis.url) as redis:
        servers = {
            "MONGODB_URI": mongodb.through(mongodb_uri),
            "REDIS_URL": redis.through(own_redis.url),
        }
        with new_line(redis=own_redis.url, lease=30, **servers) as line:
            proxy = {"mongodb": mongodb, "redis": redis}[away]
            proxy.cut()
            ids = line.submit(GENERATIVE, 20)
            bridge = line.processes.start("bridge", sys.executable, "-m", "bridge")
            worker = line.launch_worker(GENERATIVE)
            wait_until(lambda: bridge.logged(f"{away}.away"), 30)
            if away == "mongodb":
                wait_until(lambda: worker.logged("mongodb.away"), 30)
            else:
                wait_until(lambda: worker.logged("presence.broker_away"), 30)
            with recovery.of(
                f"{NAMES[away]} away when bridge and worker start, for some seconds",
                at_most="a try to connect, 5 s",
                until="all final",
            ):
                proxy.mend()
                line.wait_until_final(ids, 30)
            line.assert_sound(ids)
            assert bridge.handle.alive
            assert worker.handle.alive
