"""What people type on the command line."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from bson import ObjectId
from bson.int64 import Int64

from agent.cli.arguments import (
    fill_in_wait,
    read_duration,
    read_object,
    read_tags,
    read_time,
)
from agent.errors import RequestInvalid
from agent.store.ids import read_ids

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEX = "6633a0f1c0ffee0000000017"
UUID_TEXT = "12345678-1234-4234-8234-123456789abc"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["submit", "--wait"], ["submit", "--wait", "inf"]),
        (["submit", "--wait", "--json"], ["submit", "--wait", "inf", "--json"]),
        (["submit", "--wait", "2.5"], ["submit", "--wait", "2.5"]),
        (["submit", "--wait=3"], ["submit", "--wait=3"]),
        (["setup", "--wait"], ["setup", "--wait"]),
        ([], []),
    ],
)
def test_wait_needs_no_number(typed: list[str], expected: list[str]) -> None:
    """`submit --wait` alone has no bound; any other command is left as it is."""
    assert fill_in_wait(typed) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ctx_1", ["ctx_1"]),
        (HEX, [HEX, ObjectId(HEX)]),
        (f'{{"$oid": "{HEX}"}}', [f'{{"$oid": "{HEX}"}}', ObjectId(HEX)]),
        (UUID_TEXT, [UUID_TEXT, UUID(UUID_TEXT)]),
        ("17", ["17", 17]),
        ('{"$numberLong": "17"}', ['{"$numberLong": "17"}', Int64(17)]),
        ('"quoted"', ['"quoted"']),
        ('{"a": 1}', ['{"a": 1}', {"a": 1}]),
        ("[not json", ["[not json"]),
    ],
)
def test_what_an_id_may_stand_for(word: str, expected: list[object]) -> None:
    """A string first; then what it is as extended JSON, or by its digits."""
    assert read_ids(word) == expected


@pytest.mark.parametrize(
    "word",
    ['{"$gt": ""}', '{"$ne": 1}', "[1]", '{"$regularExpression": {"pattern": "a", "options": ""}}'],
)
def test_a_query_is_no_id(word: str) -> None:
    """What MongoDB would take for an operator would find anybody's context."""
    with pytest.raises(RequestInvalid, match="is no id"):
        read_ids(word)


def test_an_object_is_read_from_the_word_a_file_or_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON itself, `@file` and `-`, a byte order mark included."""
    file = tmp_path / "body.json"
    file.write_bytes(b'\xef\xbb\xbf{"from": "file"}')
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b'{"from": "stdin"}')))
    found = [read_object("--data", word) for word in ('{"from": "word"}', f"@{file}", "-")]
    assert found == [{"from": "word"}, {"from": "file"}, {"from": "stdin"}]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("{", "--data: is not JSON"),
        ('{"a": NaN}', "--data: is not JSON"),
        ("[" * 100_000, "--data: is not JSON"),
        ("[1]", "--data: must be a JSON object"),
        ("@/nowhere/at/all", "--data: '/nowhere/at/all' cannot be read"),
    ],
)
def test_what_is_no_object_is_refused(word: str, expected: str) -> None:
    """The option is named, and what is wrong."""
    with pytest.raises(RequestInvalid, match=expected):
        read_object("--data", word)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """JSON is UTF-8."""
    file = tmp_path / "x"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RequestInvalid, match="--body: is not UTF-8"):
        read_object("--body", f"@{file}")


def test_tags() -> None:
    """A value may hold anything, `=` too."""
    assert read_tags(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("word", ["a", "=1", ""])
def test_a_tag_without_a_name_or_a_value_is_refused(word: str) -> None:
    """It is named."""
    with pytest.raises(RequestInvalid, match="must be name=value"):
        read_tags([word])


@pytest.mark.parametrize(
    ("word", "seconds"), [("90", 90), ("1.5s", 1.5), ("15m", 900), ("2 h", 7200), ("1d", 86400)]
)
def test_durations(word: str, seconds: float) -> None:
    """Seconds, or a number with its unit."""
    assert read_duration("--for", word) == timedelta(seconds=seconds)


@pytest.mark.parametrize("word", ["", "-1", "soon", "1w", "9" * 400])
def test_what_is_no_duration_is_refused(word: str) -> None:
    """The option is named, with what it takes."""
    with pytest.raises(RequestInvalid, match="is no duration; write 90"):
        read_duration("--for", word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("+15m", NOW + timedelta(minutes=15)),
        ("2026-05-02T08:00", datetime(2026, 5, 2, 8, tzinfo=UTC)),
        ("2026-05-02T08:00:00+02:00", datetime(2026, 5, 2, 6, tzinfo=UTC)),
    ],
)
def test_times(word: str, expected: datetime) -> None:
    """ISO 8601, in UTC unless it says otherwise, or from now on."""
    assert read_time("--at", word, NOW) == expected


@pytest.mark.parametrize("word", ["tomorrow", "+99999999d", "+"])
def test_what_is_no_time_is_refused(word: str) -> None:
    """The option is named."""
    with pytest.raises(RequestInvalid, match="--at: "):
        read_time("--at", word, NOW)
