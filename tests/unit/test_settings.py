"""The settings: where they come from, and what is said when one is wrong."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.errors import ConfigurationError
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType
from agent.settings import Settings, load_service_settings, load_settings

HUSH = "hush-hush"
"""A secret, or a part of one; no message may show it."""


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """What is said of this environment at the start of a process."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert HUSH not in "".join(traceback.format_exception(caught.value, limit=0))
    return str(caught.value)


def test_an_environment_that_says_nothing_is_enough() -> None:
    """Servers on this machine, in production."""
    settings = load_settings()
    assert settings.mongodb_uri.get_secret_value() == "mongodb://127.0.0.1:27017"
    assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert settings.mongodb_database is None
    assert (settings.env, settings.log_level, settings.namespace) == ("production", "INFO", "agent")
    assert (settings.processes, settings.threads) == (1, 64)
    assert (settings.poll_interval, settings.batch_size) == (1.0, 200)
    assert (settings.workers, settings.templates) == ((), ())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MONGODB_URI": "mongodb://a"}, "mongodb://a"),
        ({"MONGO_URL": "mongodb://b"}, "mongodb://b"),
        ({"MONGODB_URI": "mongodb://a", "MONGO_URL": "mongodb://b"}, "mongodb://a"),
        ({"MONGODB_URI": "", "MONGO_URL": "mongodb+srv://b"}, "mongodb+srv://b"),
    ],
)
def test_mongodb_is_where_the_first_of_two_variables_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """Platforms set one or the other; an empty one says nothing."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings().mongodb_uri.get_secret_value() == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"REDIS_URL": "redis://a"}, "redis://a"),
        ({"REDIS_URL": "redis://a", "REDIS_TLS_URL": "rediss://b"}, "rediss://b"),
        ({"REDIS_URL": "unix:///run/redis", "REDIS_TLS_URL": ""}, "unix:///run/redis"),
    ],
)
def test_an_encrypted_redis_comes_first(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """Where a platform offers both."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings().redis_url.get_secret_value() == expected


def test_a_dot_env_file_is_read_and_the_environment_beats_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In development; a variable that is empty says nothing there either."""
    (tmp_path / ".env").write_text("AGENT_THREADS=3\nPORT=81\nGENERATION_BASE_TIMEOUT=7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_ENV", "development")
    monkeypatch.setenv("PORT", "82")
    monkeypatch.setenv("AGENT_THREADS", "")
    settings = load_settings()
    assert (settings.threads, settings.port) == (3, 82)
    assert settings.service(GENERATIVE).timeout == 7


def test_in_production_a_dot_env_file_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a process does there is said by its environment alone."""
    (tmp_path / ".env").write_text("AGENT_THREADS=3\nGENERATION_BASE_TIMEOUT=7\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.threads == 64
    assert settings.service(GENERATIVE).timeout == 60


def test_lists_are_separated_by_spaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However many."""
    monkeypatch.setenv("AGENT_TEMPLATES", f" {tmp_path}  /b\n/c ")
    assert load_settings().templates == (str(tmp_path), "/b", "/c")


@pytest.mark.parametrize(
    ("namespace", "expected"), [("agent", "dramatiq"), ("blue", "blue.dramatiq")]
)
def test_two_installations_may_share_a_redis(namespace: str, expected: str) -> None:
    """Dramatiq's keys follow the namespace; the default keeps the name that people know."""
    assert Settings(namespace=namespace).dramatiq_namespace == expected


def test_a_service_has_defaults_of_its_own() -> None:
    """Its path, and what to do after a call whose outcome is unknown."""
    settings = load_settings()
    told = [
        (found.path, found.on_ambiguous, found.url, found.timeout, found.max_attempts)
        for found in map(settings.service, (GENERATIVE, ANALYSIS, COMMUNICATION))
    ]
    assert told == [
        ("/api/v1/generate", "retry", None, 60.0, 20),
        ("/api/v1/analyze", "retry", None, 60.0, 20),
        ("/api/v1/communicate", "park", None, 60.0, 20),
    ]


def test_a_service_reads_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of one's own, too; those of another service do not reach it."""
    translation = ServiceType("TRANSLATION", "TRANSLATE", "/translate", "m:C")
    monkeypatch.setenv("TRANSLATE_BASE_URL", "https://translate.example/api/")
    monkeypatch.setenv("TRANSLATE_BASE_API_KEY", HUSH)
    monkeypatch.setenv("TRANSLATE_BASE_ON_AMBIGUOUS", "park")
    monkeypatch.setenv("TRANSLATE_BASE_TIMEOUT", "2.5")
    monkeypatch.setenv("GENERATION_BASE_PATH", "/v2/generate")
    found = load_service_settings(translation)
    assert (found.url, found.path) == ("https://translate.example/api", "/translate")
    assert found.api_key == SecretStr(HUSH)
    assert (found.on_ambiguous, found.call_timeout) == ("park", timedelta(seconds=2.5))
    assert load_service_settings(GENERATIVE).path == "/v2/generate"


def test_a_queued_context_may_wait_behind_a_whole_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease is the service's timeout and half a minute."""
    monkeypatch.setenv("ANALYSIS_BASE_TIMEOUT", "90")
    assert load_service_settings(ANALYSIS).queue_lease == timedelta(seconds=120)


WRONG = [
    ("MONGODB_URI", f"http://u:{HUSH}@h", "must begin with mongodb://"),
    ("MONGO_URL", f"u:{HUSH}@h", "must begin with mongodb://"),
    ("REDIS_URL", f"http://:{HUSH}@h", "must begin with redis://"),
    ("REDIS_TLS_URL", HUSH, "must begin with redis://"),
    ("REDIS_TLS_VERIFY", "perhaps", "boolean"),
    ("PORT", "http", "integer"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("AGENT_ENV", "prod", "'production' or 'development'"),
    ("AGENT_NAMESPACE", "Über", "pattern"),
    ("AGENT_LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ("AGENT_PROCESSES", "0", "greater than or equal to 1"),
    ("AGENT_THREADS", "many", "integer"),
    ("AGENT_POLL_INTERVAL", "0", "greater than or equal to 0.05"),
    ("AGENT_POLL_INTERVAL", "nan", ""),
    ("AGENT_BATCH_SIZE", "1001", "less than or equal to 1000"),
    ("AGENT_WORKERS", "nowhere:Worker", "write module:Class"),
    ("AGENT_WEBHOOK_HOSTS", "https://hooks.example", "neither a host nor host:port"),
    ("AGENT_WEBHOOK_SECRET", HUSH, "secret 1 does not begin with whsec_"),
    ("AGENT_WEBHOOK_SECRET", f"whsec_{HUSH}", "secret 1 is not base64"),
    ("GENERATION_BASE_URL", "generate.example", "http:// or https://"),
    ("GENERATION_BASE_URL", "ftp://h", "http:// or https://"),
    ("GENERATION_BASE_URL", f"http://u:{HUSH}@h", "API_KEY"),
    ("GENERATION_BASE_URL", f"http://u:{HUSH}/x@h", "URL"),
    ("GENERATION_BASE_URL", f"http://h/?key={HUSH}", "no query"),
    ("GENERATION_BASE_URL", "http://[::1", "URL"),
    ("GENERATION_BASE_PATH", "generate", "must begin with /"),
    ("GENERATION_BASE_STATUS_PATH", "status/{id}", "must begin with /"),
    ("ANALYSIS_BASE_TIMEOUT", "1 minute", "number"),
    ("ANALYSIS_BASE_TIMEOUT", "0", "greater than 0"),
    ("ANALYSIS_BASE_TIMEOUT", "inf", ""),
    ("ANALYSIS_BASE_ACCEPTED_TIMEOUT", "inf", ""),
    ("ANALYSIS_BASE_MAX_RESPONSE_BYTES", "16777216", "less than or equal to"),
    ("ANALYSIS_BASE_MAX_IN_FLIGHT", "0", "greater than or equal to 1"),
    ("ANALYSIS_BASE_MAX_ATTEMPTS", "0", "greater than or equal to 1"),
    ("COMMUNICATION_BASE_ON_AMBIGUOUS", "guess", "'retry' or 'park'"),
    ("COMMUNICATION_BASE_BATCH_SIZE", "2.5", "integer"),
]


@pytest.mark.parametrize(
    ("name", "value", "remedy"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG]
)
def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, remedy: str
) -> None:
    """The variable that was set, what would be right, and nothing secret."""
    line = refusal(monkeypatch, **{name: value})
    assert line.startswith(f"{name}: ")
    assert remedy in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("AGENT_THREADS", "0", "calls that it makes at once"),
        ("PORT", "http", "Where `web` listens"),
        ("ANALYSIS_BASE_TIMEOUT", "0", "Seconds that a whole call may take"),
    ],
)
def test_a_wrong_setting_says_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, meaning: str
) -> None:
    """Nobody has to look it up at night."""
    assert meaning in refusal(monkeypatch, **{name: value})


def test_each_wrong_setting_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of one start's are told together."""
    told = refusal(monkeypatch, AGENT_THREADS="0", PORT="x", REDIS_URL=HUSH)
    assert sorted(line.partition(":")[0] for line in told.splitlines()) == [
        "AGENT_THREADS", "PORT", "REDIS_URL",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lease", "heartbeat", "expected"),
    [("30", None, 10.0), ("30", "10", 10.0), ("9", "1", 1.0), ("3", None, 1.0)],
)
def test_a_lease_lasts_for_three_heartbeats(
    monkeypatch: pytest.MonkeyPatch, lease: str, heartbeat: str | None, expected: float
) -> None:
    """Without a word of its own, the heartbeat is a third of the lease."""
    monkeypatch.setenv("AGENT_LEASE", lease)
    if heartbeat is not None:
        monkeypatch.setenv("AGENT_HEARTBEAT", heartbeat)
    settings = load_settings()
    assert settings.lease == timedelta(seconds=float(lease))
    assert settings.heartbeat == timedelta(seconds=expected)


def test_a_lease_that_is_shorter_than_three_heartbeats_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At start, and not as a surprise at night; the message names both variables."""
    told = refusal(monkeypatch, AGENT_LEASE="30", AGENT_HEARTBEAT="11")
    assert told.startswith("AGENT_HEARTBEAT: ")
    assert "lower it, or raise AGENT_LEASE" in told


@pytest.mark.parametrize(
    "name",
    [
        "GENERATION_BASE_RATE_LIMIT", "COMMUNICATION_BASE_RATE_LIMIT",
    ],
)  # fmt: skip
def test_what_is_not_built_yet_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whoever sets it relies on it; an empty one is not set."""
    monkeypatch.setenv(name, "")
    load_settings()
    told = refusal(monkeypatch, **{name: HUSH})
    assert told.startswith(name)
    assert "not built yet" in told
    assert "unset it" in told


def test_what_is_not_built_yet_is_refused_in_a_dot_env_file_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A line there is as much of a wish as a variable."""
    (tmp_path / ".env").write_text(f"GENERATION_BASE_RATE_LIMIT={HUSH}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_ENV", "development")
    monkeypatch.setenv("GENERATION_BASE_RATE_LIMIT", "")
    assert refusal(monkeypatch).startswith("GENERATION_BASE_RATE_LIMIT")


def test_callbacks_without_a_secret_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell what we send from what others do; the message says how to make one."""
    told = refusal(monkeypatch, AGENT_WEBHOOK_HOSTS="hooks.example")
    assert told.startswith("AGENT_WEBHOOK_SECRET: is not set, and AGENT_WEBHOOK_HOSTS is")
    assert "openssl rand -base64 32" in told
    assert "\n" not in told


def test_webhooks_are_a_service_where_hosts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the three, with a queue; elsewhere there is none."""
    assert "WEBHOOK" not in load_settings().registry
    monkeypatch.setenv("AGENT_WEBHOOK_HOSTS", "hooks.example other.example:8443")
    monkeypatch.setenv("AGENT_WEBHOOK_SECRET", f"whsec_{'a2tr' * 8}")
    settings = load_settings()
    assert settings.registry["WEBHOOK"].queue == "webhook"
    assert [host.name for host in settings.webhooks.hosts] == ["hooks.example", "other.example"]
    assert "a2tr" not in f"{settings!r} {settings.model_dump_json()}"


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as text nor as JSON, however the settings come into a log."""
    monkeypatch.setenv("MONGODB_URI", f"mongodb://u:{HUSH}@h")
    monkeypatch.setenv("REDIS_URL", f"redis://:{HUSH}@h")
    monkeypatch.setenv("GENERATION_BASE_API_KEY", HUSH)
    settings = load_settings()
    for shown in (settings, settings.service(GENERATIVE)):
        assert HUSH not in f"{shown} {shown!r} {shown.model_dump()} {shown.model_dump_json()}"
