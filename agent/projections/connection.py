"""The connection to Redis: short timeouts, one retry, errors of our own, and a look at the server.

The only module, with its neighbours here, that knows redis-py's exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agent.errors import BrokerUnavailable, ConfigurationError
from agent.settings import Settings

TIMEOUT_SECONDS = 5.0
HEALTH_CHECK_SECONDS = 15
OLDEST_VERSION = (6, 2)


def connect_redis(settings: Settings, *, max_connections: int, name: str = "") -> redis.Redis:
    """A client of the Redis of the settings. Nothing is connected yet.

    One retry, at once, and only of a connection that turned out broken (the server restarted since
    its last use); a timeout is not repeated, so that a Redis that hangs costs 5 s and no more. The
    default of redis-py 8 is ten tries with growing waits. RESP2, so that a server too old says so
    in `check_redis` instead of failing the handshake. Options in the URL come first.

    Args:
        max_connections: how many are open at most; who finds none free waits for up to 5 s. A
            `Listener` keeps one for itself.
        name: the process's part, behind the namespace in `CLIENT LIST`.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    url = settings.redis_url.get_secret_value()
    options: dict[str, Any] = {}
    if url.startswith("rediss://") and not settings.redis_tls_verify:
        options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    if not url.startswith("unix://"):
        options["socket_keepalive"] = True
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            health_check_interval=HEALTH_CHECK_SECONDS,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            decode_responses=True,
            protocol=2,
            client_name=f"{settings.namespace}:{name}" if name else settings.namespace,
            **options,
        )
    except ValueError:
        raise ConfigurationError(
            "REDIS_URL: cannot be read; write redis://:password@host:6379/0, with special "
            "characters of the password percent-encoded"
        ) from None
    return redis.Redis.from_pool(pool)


@contextmanager
def translate_redis_errors() -> Iterator[None]:
    """Turn what redis-py raises into our error.

    Raises:
        BrokerUnavailable: Redis did not answer, or refused the command.
    """
    try:
        yield
    except redis.RedisError as exc:
        raise BrokerUnavailable(f"Redis: {exc}") from exc


def check_redis(client: redis.Redis) -> list[str]:
    """What an operator should know about this Redis, one sentence each; empty when all is well.

    It asks `INFO`, since managed servers often forbid `CONFIG`.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    with translate_redis_errors():
        info = {**client.info("server"), **client.info("memory")}
    return warnings_about(info)


def warnings_about(info: Mapping[str, Any]) -> list[str]:
    """The warnings that a server's `INFO` gives rise to; what it does not say is no warning."""
    warnings = []
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST_VERSION:
        warnings.append(f"Redis is {version}; use 6.2 or later.")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        warnings.append(
            f"Redis has maxmemory-policy {policy}: when memory is short it drops messages, which "
            "then wait for their leases to run out; set maxmemory-policy noeviction."
        )
    return warnings
