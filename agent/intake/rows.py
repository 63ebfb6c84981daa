"""Rows read from JSON lines or CSV as they come in: one at a time, however many there are. Pure."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, NoReturn

from agent.errors import RequestInvalid
from agent.intake.batch import Rejected, Row
from agent.intake.values import listed, shown

MAX_ROW_BYTES = 15 * 1024 * 1024
"""A context holds no more."""
DELIMITERS = ",;\t"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

csv.field_size_limit(MAX_ROW_BYTES)  # its own is 128 kB, and it is one for the whole process


class RowFormat(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


def read_rows(blocks: Iterable[bytes], format: RowFormat) -> Iterator[Row | Rejected]:
    """The rows in these blocks of UTF-8. What is wrong with one row costs only that row.

    Raises:
        RequestInvalid: this is no such file at all: its encoding, its header, its quotes.
    """
    lines = _lines(blocks)
    return _read_json_lines(lines) if format is RowFormat.JSONL else _read_csv(lines)


# Lines


def _lines(blocks: Iterable[bytes]) -> Iterator[str | None]:
    """Lines with their ends; None stands for one that is too long to be held."""
    for number, line in enumerate(_split(blocks), 1):
        if number == 1 and line is not None and line.startswith(UTF_16):
            raise RequestInvalid("this is UTF-16; save the file as UTF-8")
        try:
            # a mark of the order of bytes is for the first line alone
            yield None if line is None else line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise RequestInvalid(f"line {number} is not UTF-8; save the file as UTF-8") from None


def _split(blocks: Iterable[bytes]) -> Iterator[bytes | None]:
    rest = bytearray()
    is_too_long = False
    for block in blocks:
        *whole, last = block.split(b"\n")
        for end in whole:
            yield None if is_too_long else bytes(rest) + end + b"\n"
            rest.clear()
            is_too_long = False
        rest += last
        if len(rest) > MAX_ROW_BYTES:
            rest.clear()
            is_too_long = True
    if rest or is_too_long:
        yield None if is_too_long else bytes(rest)


# JSON lines


def _read_json_lines(lines: Iterable[str | None]) -> Iterator[Row | Rejected]:
    for number, line in enumerate(lines, 1):
        if line is None:
            yield Rejected(number, f"longer than {MAX_ROW_BYTES:,} bytes")
        elif line.strip():
            yield _read_json(number, line)


def _read_json(number: int, line: str) -> Row | Rejected:
    try:
        return Row(number, json.loads(line, parse_constant=_no_constant))
    except RecursionError:
        return Rejected(number, "no JSON: too deep")
    except ValueError as exc:
        return Rejected(number, f"no JSON: {exc}"[:200])


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


# CSV


def _read_csv(lines: Iterable[str | None]) -> Iterator[Row | Rejected]:
    texts = _whole(lines)
    first = next(texts, "")
    header = next(_records([first], _delimiter(first)), (0, []))[1]
    _check_header(header)
    for number, record in _records(texts, _delimiter(first)):
        if not record:
            continue
        if len(record) == len(header):
            yield Row(number, dict(zip(header, record, strict=True)), is_text=True)
        else:
            yield Rejected(number, f"{len(record)} fields where the header has {len(header)}")


def _whole(lines: Iterable[str | None]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line is None:
            raise RequestInvalid(f"line {number} is longer than {MAX_ROW_BYTES:,} bytes")
        yield line


def _delimiter(header: str) -> str:
    """The one that stands most often in the header: spreadsheets of many countries write `;`."""
    return max(DELIMITERS, key=header.count)


def _records(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader, None)
        except csv.Error as exc:
            raise RequestInvalid(f"no CSV from row {number} on: {exc}") from None
        if record is None:
            return
        yield number, record


def _check_header(header: list[str]) -> None:
    if not any(header):
        raise RequestInvalid("no CSV: the first line has to name the columns")
    if not all(header):
        raise RequestInvalid(f"the header has no name for column {header.index('') + 1}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RequestInvalid(f"the header has {listed([shown(each) for each in twice])} twice")


def converted(value: str, type: str) -> Any:
    """What a cell of CSV stands for, if it is written as that type is; else the text itself.

    Args:
        type: of a template's parameter.
    """
    readers: dict[str, Any] = {
        "integer": int,
        "number": _number,
        "boolean": {"true": True, "false": False}.__getitem__,
        "object": json.loads,
        "array": json.loads,
    }
    reader = readers.get(type)
    if reader is None:
        return value
    try:
        return reader(value.strip().lower() if type == "boolean" else value)
    except (ValueError, KeyError, RecursionError):
        return value


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
