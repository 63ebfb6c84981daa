"""What the environment leaves open for `agent up`."""

from __future__ import annotations

import pytest

from agent.cli.system.surroundings import environment_file, find_gaps, variables_of_ours
from agent.errors import ConfigurationError
from agent.settings import load_settings


def test_everything_is_started_that_nobody_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty environment, in development: both servers, and a sandbox for all three."""
    monkeypatch.setenv("AGENT_ENV", "development")
    gaps = find_gaps(load_settings())
    assert (gaps.mongodb, gaps.redis, len(gaps.sandboxed)) == (True, True, 3)


def test_what_is_named_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server or a service of one's own stays the only one."""
    for name, value in {
        "AGENT_ENV": "development",
        "MONGODB_URI": "mongodb://db.example",
        "ANALYSIS_BASE_URL": "https://analyse.example",
        "PORT": "8123",
    }.items():
        monkeypatch.setenv(name, value)
    gaps = find_gaps(load_settings())
    names = [service.name for service in gaps.sandboxed]
    assert (gaps.mongodb, gaps.redis, names, gaps.port) == (
        False, True, ["GENERATIVE", "COMMUNICATION"], 8123,
    )  # fmt: skip


def test_no_sandbox_in_production() -> None:
    """A service that is forgotten there stops the start, instead of being played."""
    with pytest.raises(ConfigurationError, match="GENERATION_BASE_URL is not set"):
        find_gaps(load_settings())


def test_a_file_for_the_shell() -> None:
    """Whatever a value holds, the shell takes it as one word."""
    found = environment_file({"MONGODB_URI": "mongodb://h/?a=b&c=d", "PORT": "8000"})
    assert found == "export MONGODB_URI='mongodb://h/?a=b&c=d'\nexport PORT=8000\n"


def test_which_variables_are_ours() -> None:
    """What the demo leaves aside: every setting, but not where a server's program is."""
    names = [
        "MONGODB_URI", "MONGO_URL", "REDIS_TLS_URL", "PORT", "AGENT_ENV", "GENERATION_BASE_URL",
        "PATH", "AGENT_EMBEDDED_MONGODB",
    ]  # fmt: skip
    assert variables_of_ours(names) == names[:-2]
