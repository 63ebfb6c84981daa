"""What a log line looks like, and what never stands in one."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from agent.logs import LONGEST_VALUE, configure_logging, get_logger, keep_secrets_out, mask_secrets
from agent.settings import Settings


class Stderr:
    """What was written to stderr and not read yet."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self) -> str:
        return self._capsys.readouterr().err

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """Logging as in production at INFO; afterwards all is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(env="production", log_level="INFO"))
    yield Stderr(capsys)
    root.handlers[:] = handlers
    root.setLevel(level)
    for package in ("agent", "bridge", "actors"):
        logging.getLogger(package).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def cleaned(**fields: object) -> dict[str, Any]:
    return dict(keep_secrets_out(None, "info", dict(fields)))


def test_production_writes_one_json_object_a_line(stderr: Stderr) -> None:
    """Event, time, level and whatever was bound."""
    get_logger(service_type="ANALYSIS").info("attempt.completed", fence=3, outcome="completed")
    (line,) = stderr.lines()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {
        "event": "attempt.completed",
        "level": "info",
        "service_type": "ANALYSIS",
        "fence": 3,
        "outcome": "completed",
    }


def test_lines_below_the_level_are_not_written(stderr: Stderr) -> None:
    """AGENT_LOG_LEVEL holds for our own lines, through either way of logging."""
    get_logger().debug("quiet")
    logging.getLogger("agent.x").debug("quiet")
    get_logger().info("loud")
    logging.getLogger("agent.x").info("loud")
    assert [line["event"] for line in stderr.lines()] == ["loud", "loud"]


@pytest.mark.parametrize("library", ["dramatiq", "apscheduler", "uvicorn.error", "pymongo"])
def test_libraries_come_through_from_warning_on(stderr: Stderr, library: str) -> None:
    """Their lines have the same form, and say whose they are."""
    logging.getLogger(library).info("chatter")
    logging.getLogger(library).warning("lost %s", "redis://:hush@h:1")
    (line,) = stderr.lines()
    assert (line["event"], line["logger"], line["level"]) == (
        "lost redis://***@h:1",
        library,
        "warning",
    )


def test_the_stream_is_the_one_of_that_moment(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logger that was used before stderr was replaced writes to the new one."""
    log = get_logger()
    log.info("before")
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    log.info("after")
    logging.getLogger("dramatiq").warning("after")
    assert [line["event"] for line in stderr.lines()] == ["before"]
    assert [line["event"] for line in map(json.loads, pipe.getvalue().splitlines())] == [
        "after",
        "after",
    ]


@pytest.mark.parametrize("gone", [None, "closed"])
def test_a_stream_that_is_gone_stops_nobody(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch, gone: str | None
) -> None:
    """When nobody reads the log any more, work goes on."""
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream if gone else None)
    get_logger().info("unheard")


def test_a_traceback_is_one_field_without_secrets(stderr: Stderr) -> None:
    """An exception's own words are looked at like any others."""
    try:
        raise ValueError("cannot reach mongodb://user:hush@h:1/agent")
    except ValueError:
        get_logger().exception("store.failed")
        logging.getLogger("agent").exception("store.failed")
    ours, library = stderr.lines()
    for line in (ours, library):
        assert "mongodb://***@h:1/agent" in line["exception"]
        assert "hush" not in str(line)


def test_development_is_for_people(stderr: Stderr) -> None:
    """No JSON, and still no secret and no local variable."""
    configure_logging(Settings(env="development"))
    document = {"text": "a private letter"}
    try:
        raise ValueError(f"at redis://:hush@h:1, {len(document)} field")
    except ValueError:
        get_logger().exception("hello", name="value")
    text = stderr.text()
    assert "hello" in text
    assert "name=value" in text
    assert "ValueError" in text
    assert "hush" not in text
    assert "private" not in text


def test_no_secret_and_no_payload_is_kept() -> None:
    """At any depth, whatever it is called."""
    assert cleaned(
        event="x",
        key=SecretStr("hush"),
        nested={"key": SecretStr("hush"), "n": 1, "body": {"text": "private"}},
        items=[SecretStr("hush"), "a"],
        document={"text": "private"},
        payload="private",
        raw=b"private",
        url="mongodb+srv://u:p@h/db",
    ) == {
        "event": "x",
        "nested": {"n": 1},
        "items": ["a"],
        "raw": "<7 bytes>",
        "url": "mongodb+srv://***@h/db",
    }


def test_every_value_becomes_plain_json() -> None:
    """What JSON does not have is told as text; nothing describes itself after the look at it."""

    class Loose:
        def __repr__(self) -> str:
            return "redis://:hush@h"

    found = cleaned(nan=float("nan"), loose=Loose(), map={1: Loose()}, half=0.5, none=None)
    assert found == {
        "nan": "nan",
        "loose": "redis://***@h",
        "map": {"1": "redis://***@h"},
        "half": 0.5,
        "none": None,
    }


def test_long_and_deep_values_are_cut() -> None:
    """And no half of a password is left at the cut."""
    url = "redis://:" + "hush" * 20 + "@h"
    text = cleaned(event="x" * (LONGEST_VALUE - 20) + " " + url)["event"]
    assert "hush" not in text
    assert len(cleaned(event="x" * 100_000)["event"]) <= LONGEST_VALUE + 1
    circle: list[object] = []
    circle.append(circle)
    json.dumps(cleaned(circle=circle))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mongodb://user:pass@h:1/db?x=1", "mongodb://***@h:1/db?x=1"),
        ("at rediss://:p@ss/w@h:1, again", "at rediss://***@h:1, again"),
        ("https://user:pass@h/p?to=a@b.c", "https://***@h/p?to=a@b.c"),
        ("https://h/p?to=a@b.c", "https://h/p?to=a@b.c"),
        ("unix:///run/redis.sock?db=1&password=hush", "unix:///run/redis.sock?db=1&password=***"),
        ("Authorization: Bearer hush.x", "Authorization: Bearer ***"),
        ("mongodb://h:1,h:2/db", "mongodb://h:1,h:2/db"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_passwords_in_text_are_masked(text: str, masked: str) -> None:
    """Hosts stay readable, since that is what one looks for."""
    assert mask_secrets(text) == masked
