"""Rows of JSON lines and CSV, whatever people save as such, in blocks of any size."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RequestInvalid
from agent.intake import rows
from agent.intake.batch import Rejected, Row, rows_of
from agent.intake.rows import RowFormat, converted, read_rows


def blocks_of(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


def read(text: str | bytes, format: RowFormat, size: int = 7) -> list[Row | Rejected]:
    encoded = text.encode() if isinstance(text, str) else text
    return list(read_rows(blocks_of(encoded, size), format))


def csv(text: str | bytes) -> list[Row | Rejected]:
    return read(text, RowFormat.CSV)


def jsonl(text: str | bytes) -> list[Row | Rejected]:
    return read(text, RowFormat.JSONL)


def test_json_lines_are_numbered_as_an_editor_numbers_them() -> None:
    """Empty lines are none, and count; the last one needs no end."""
    assert jsonl('{"a": 1}\r\n\n{"b": "ü"}') == [Row(1, {"a": 1}), Row(3, {"b": "ü"})]


@pytest.mark.parametrize("line", ["{", "NaN", '{"a": Infinity}', "[" * 100_000, '{"a": 1} x'])
def test_a_line_that_is_no_json_costs_only_itself(line: str) -> None:
    """However deep it is."""
    first, second = read(f'{line}\n{{"a": 1}}', RowFormat.JSONL, 1 << 16)
    assert isinstance(first, Rejected)
    assert "no JSON" in first.error
    assert second == Row(2, {"a": 1})


def test_a_line_that_is_too_long_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is passed over as it comes."""
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1 << 20)

    def blocks() -> Iterator[bytes]:
        yield b'{"a": "'
        for _ in range(64):
            yield b"x" * (1 << 20)
        yield b'"}\n{"b": 1}\n'

    tracemalloc.start()
    try:
        read_ = list(read_rows(blocks(), RowFormat.JSONL))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read_ == [Rejected(1, "longer than 1,048,576 bytes"), Row(2, {"b": 1})]
    assert peak < 8 << 20


def test_csv_has_its_names_from_the_header() -> None:
    """Quotes, line ends within them, and a byte order mark are what they are elsewhere."""
    text = '\ufeffname,note\r\nAnn,"a, ""b""\r\nc"\r\nBob,\r\n'
    assert csv(text) == [
        Row(1, {"name": "Ann", "note": 'a, "b"\r\nc'}, is_text=True),
        Row(2, {"name": "Bob", "note": ""}, is_text=True),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_csv_may_be_separated_as_spreadsheets_do(delimiter: str) -> None:
    """The header tells."""
    [row] = csv(f"a{delimiter}b\n1{delimiter}2\n")
    assert row == Row(1, {"a": "1", "b": "2"}, is_text=True)


def test_a_ragged_row_costs_only_itself() -> None:
    """Too short, too long; its number does not count the header."""
    assert csv("a,b\n1\n1,2,3\n1,2\n") == [
        Rejected(1, "1 fields where the header has 2"),
        Rejected(2, "3 fields where the header has 2"),
        Row(3, {"a": "1", "b": "2"}, is_text=True),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "has to name the columns"),
        (b"\n1,2\n", "has to name the columns"),
        (b"a,,b\n", "no name for column 2"),
        (b"a,b,a\n", "has 'a' twice"),
        ("name\nJürgen\n".encode("latin-1"), "line 2 is not UTF-8; save the file as UTF-8"),
        ("name\nAnn\n".encode("utf-16"), "UTF-16; save the file as UTF-8"),
        (b'a,b\n1,2\n"open,1\n3,4\n', "no CSV from row 2 on"),
    ],
)
def test_what_is_no_csv_at_all_is_an_error(text: bytes, why: str) -> None:
    """That says what to do."""
    with pytest.raises(RequestInvalid, match=why):
        csv(text)


def test_json_lines_in_another_encoding_are_an_error() -> None:
    """Whoever saves some rows wrong has saved all of them wrong."""
    with pytest.raises(RequestInvalid, match="line 1 is not UTF-8"):
        jsonl('{"name": "Jürgen"}'.encode("latin-1"))


@given(
    st.lists(st.dictionaries(st.text("abc", min_size=1), st.text(), max_size=3), max_size=5),
    st.integers(1, 9),
)
def test_blocks_of_any_size_come_to_the_same(items: list[Any], size: int) -> None:
    """Wherever they cut a line, or a character."""
    text = "\n".join(json.dumps(item, ensure_ascii=False) for item in items).encode("utf-8")
    assert read(text, RowFormat.JSONL, size) == rows_of(items)


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("42", "integer", 42), ("4.5", "number", 4.5), ("42", "number", 42),
        (" TRUE ", "boolean", True), ("[1]", "array", [1]), ('{"a": 1}', "object", {"a": 1}),
        ("42", "string", "42"), ("x", "integer", "x"), ("yes", "boolean", "yes"),
        ("[" * 100_000, "array", "[" * 100_000),
    ],
)  # fmt: skip
def test_a_cell_is_read_as_its_parameter_wants_it(text: str, type: str, value: Any) -> None:
    """What is not written so stays text, and the parameter says what is wrong."""
    assert converted(text, type) == value
