"""How Redis is connected to, and what is said about it."""

import pytest
import redis

from agent.errors import BrokerUnavailable, ConfigurationError
from agent.projections.connection import connect_redis, translate_redis_errors, warnings_about
from agent.settings import Settings


def settings(url: str, **others: object) -> Settings:
    return Settings(redis_url=url, **others)  # type: ignore[arg-type]


def options(client: redis.Redis) -> dict[str, object]:
    return client.connection_pool.connection_kwargs


def test_timeouts_are_short_and_only_a_broken_connection_is_retried_once() -> None:
    """A Redis that hangs costs five seconds, not a minute."""
    chosen = options(connect_redis(settings("redis://h:1/2"), max_connections=3, name="web"))
    retry = chosen["retry"]
    assert (
        chosen["socket_timeout"],
        chosen["socket_connect_timeout"],
        chosen["health_check_interval"],
        chosen["decode_responses"],
    ) == (5.0, 5.0, 15, True)
    assert retry.get_retries() == 1  # type: ignore[attr-defined]
    assert (redis.ConnectionError,) == retry._supported_errors  # type: ignore[attr-defined]
    assert chosen["client_name"] == "agent:web"


@pytest.mark.parametrize(("verify", "expected"), [(True, None), (False, "none")])
def test_tls_without_verification_asks_for_no_certificate(
    verify: bool, expected: str | None
) -> None:
    """Heroku's certificates are self-signed; whoever says so is connected all the same."""
    client = connect_redis(
        settings("rediss://:key@h:1", redis_tls_verify=verify), max_connections=1
    )
    assert expected == options(client).get("ssl_cert_reqs")
    client.connection_pool.make_connection()  # every option is one that its connection knows


@pytest.mark.parametrize("url", ["redis://h:1", "unix:///tmp/redis.sock?db=1"])
def test_every_scheme_gives_a_connection_that_can_be_made(url: str) -> None:
    """No option of one kind of connection is given to another."""
    connect_redis(settings(url), max_connections=1).connection_pool.make_connection()


def test_an_unreadable_url_names_the_variable_and_not_the_password() -> None:
    """A port that is no number is said in one line without the URL."""
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        connect_redis(settings("redis://:hush@h:port"), max_connections=1)
    assert "hush" not in str(caught.value)


def test_a_redis_error_becomes_ours_with_its_cause() -> None:
    """Whoever catches our tree catches this."""
    cause = redis.TimeoutError("Timeout reading from socket")
    with pytest.raises(BrokerUnavailable, match="Timeout") as caught, translate_redis_errors():
        raise cause
    assert cause is caught.value.__cause__


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"redis_version": "8.2.0", "maxmemory_policy": "noeviction"}, []),
        ({"redis_version": "6.2.14"}, []),
        ({}, []),
        ({"redis_version": "6.0.16"}, ["6.0.16"]),
        ({"redis_version": "7.4.1", "maxmemory_policy": "allkeys-lru"}, ["allkeys-lru"]),
    ],
)
def test_an_old_or_evicting_redis_is_warned_of(info: dict[str, str], words: list[str]) -> None:
    """One sentence for each thing that an operator should change."""
    warnings = warnings_about(info)
    assert len(words) == len(warnings)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))
