"""The faults' vocabulary: what is understood, and what is refused by name."""

import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.sandbox.faults import Fault, Turns, parse_fault, retry_after_header
from agent.sandbox.replies import Refused, body_length, body_pieces, json_reply
from agent.sandbox.spoiling import gzip_bomb


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"latencyseconds": 1}, "sandbox.latencyseconds is unknown"),
        ({"latency_seconds": "1"}, "sandbox.latency_seconds"),
        ({"latency_seconds": -1}, "sandbox.latency_seconds"),
        ({"latency_seconds": float("inf")}, "sandbox.latency_seconds"),
        ({"status": True}, "sandbox.status"),
        ({"status": 199}, "sandbox.status"),
        ({"status": 600}, "sandbox.status"),
        ({"retry_after": "soon"}, "sandbox.retry_after"),
        ({"retry_after": -1}, "sandbox.retry_after"),
        ({"times": 1.5}, "sandbox.times"),
        ({"recipient": 1}, "sandbox.recipient"),
        ({"garbage": 1}, "sandbox.garbage"),
        ({"accepted_style": "post"}, "sandbox.accepted_style"),
        ({"accepted_style": []}, "sandbox.accepted_style"),
        ({"redirect": "http://elsewhere/\r\nSet-Cookie: a=b"}, "sandbox.redirect"),
        ({"huge_bytes": 1 << 40}, "sandbox.huge_bytes"),
        ({"down": True}, "sandbox.down is unknown"),
        ([], "sandbox must be an object"),
        ("slow", "sandbox must be an object"),
    ],
)
def test_a_wrong_fault_is_refused_by_name(asked: Any, named: str) -> None:
    """An unknown key or a wrong value is a 422 that names it."""
    with pytest.raises(Refused, match=named) as caught:
        parse_fault(asked)
    assert caught.value.reply.status == 422


def test_faults_combine() -> None:
    """Several keys make one fault."""
    fault = parse_fault({"latency_seconds": 0.5, "status": 503, "retry_after": 3, "times": 2})
    assert fault == Fault(latency_seconds=0.5, status=503, retry_after=3, times=2)


def test_only_a_service_wide_fault_takes_the_service_down() -> None:
    """`down` belongs to the switch of the whole service."""
    assert parse_fault({"down": True}, service_wide=True).down


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, None),
        ({"status": 201}, None),
        ({"status": 500}, 500),
        ({"retry_after": 1}, 429),
        ({"retry_after": 1, "status": 503}, 503),
        ({"retry_after": 1, "accepted_seconds": 1}, None),
    ],
)
def test_the_error_status_follows_from_the_keys(
    asked: dict[str, Any], expected: int | None
) -> None:
    """Statuses from 300 on are errors, and a bare `retry_after` is a 429."""
    assert parse_fault(asked).error_status == expected


def test_retry_after_is_seconds_or_a_date() -> None:
    """`date:N` becomes an HTTP date N seconds ahead."""
    now = datetime(2026, 1, 31, 23, 59, 50, tzinfo=UTC)
    assert retry_after_header(20, now) == "20"
    assert retry_after_header("date:20", now) == "Sun, 01 Feb 2026 00:00:10 GMT"


def test_times_counts_each_key_for_itself() -> None:
    """The fault hits the first calls of a key, whatever other keys do."""
    turns, fault = Turns(), Fault(times=2)
    hits = [turns.hits(fault, key) for key in ("a", "a", "b", "a", "b", "b")]
    assert hits == [True, True, True, False, True, False]


@pytest.mark.parametrize("size", [0, 60, 1000, 200_000])
def test_a_padded_reply_is_valid_json_of_that_size(size: int) -> None:
    """Padding keeps the reply's fields, and its pieces add up to the promised length."""
    reply = json_reply({"success": True})
    reply = type(reply)(200, reply.body, pad_to=size)
    body = b"".join(body_pieces(reply))
    assert body_length(reply) == len(body) >= size
    assert json.loads(body)["success"] is True
    if size >= 60:
        assert len(body) == size


def test_a_gzip_bomb_is_small_and_unpacks_to_its_size() -> None:
    """The packed body is a small part of what it becomes, which is valid JSON."""
    size = 3_000_000
    packed = gzip_bomb(size)
    unpacked = zlib.decompress(packed, wbits=31)
    assert len(packed) < size / 100
    assert size <= len(unpacked) < size + 100
    assert json.loads(unpacked)["success"] is True
