"""The items of a batch as they are sent, and as they come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.client.calls import batch
from agent.client.errors import RequestRefused
from agent.client.rows import BLOCK_BYTES, Blocks, Frame, ItemLines, lines_of
from agent.client.uploads import MOST_IN_QUERY, upload_in_http


def test_a_source_is_read_once_and_sent_as_often_as_needed() -> None:
    """Also when the first time was broken off; no more is read than is sent."""
    read = 0

    def items() -> Iterator[dict[str, int]]:
        nonlocal read
        for read in range(1, 40_001):
            yield {"n": read}

    whole = b"".join(lines_of({"n": n} for n in range(1, 40_001)))
    with Blocks(lines_of(items())) as blocks:
        first = next(iter(blocks))
        assert BLOCK_BYTES <= len(first) < 2 * BLOCK_BYTES
        assert read < 40_000
        assert b"".join(blocks) == b"".join(blocks) == whole


def test_what_breaks_a_source_is_noted() -> None:
    """So that what was read of it is not taken for all of it."""
    with Blocks(lines_of(iter([{}, {"at": object()}]))) as blocks:
        with pytest.raises(RequestRefused, match=r"item 2 is no JSON: .* type object"):
            list(blocks)
        assert isinstance(blocks.error, RequestRefused)


@pytest.mark.parametrize("items", [[], [1], [{"a": 1}, {"b": [2]}]])
def test_items_in_one_body_are_json(items: list[Any]) -> None:
    """However many there are."""
    body = b"".join(lines_of(items, Frame(b'{"items":[', b",", b"]}")))
    assert json.loads(body) == {"items": items}


def test_what_a_query_cannot_say_goes_in_a_body() -> None:
    """What is too long for it, and what it does not know."""
    common = {"template_id": "t", "tags": ["a"], "deadline_at": datetime(2031, 1, 1, tzinfo=UTC)}
    asked, _ = upload_in_http(batch([], "each", common))
    assert asked.path == "/v1/batches/upload"
    assert asked.params["tags"] == '["a"]'
    assert asked.params["deadline_at"] == "2031-01-01T00:00:00+00:00"
    for more in ({"data": {"x": "y" * MOST_IN_QUERY}}, {"later": 1}):
        asked, frame = upload_in_http(batch([], "each", {**common, **more}))
        assert (asked.path, asked.params) == ("/v1/batches", {})
        said = json.loads(frame.head + frame.tail)
        assert said == {**said, **more, "mode": "each", "items": []}
        assert "idempotency_key" not in said
        assert asked.headers["Idempotency-Key"].startswith("client-")


def test_items_that_come_again_are_told_once() -> None:
    """A download that broke off is begun again, and its first lines are known."""
    data = b"".join(b'{"row":%d}\n' % n for n in range(1, 6))
    lines = ItemLines()
    first = list(lines.take(data[:24]))
    lines.begin()
    rest = [*lines.take(data[:-1]), *lines.end()]
    assert [each["row"] for each in first + rest] == [1, 2, 3, 4, 5]
    assert len(first) == 2
