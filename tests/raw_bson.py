"""Documents put together and taken apart as bytes, past every driver.

So a document may have what no driver of ours would write, and be compared byte for byte though
nothing could decode it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import bson

from agent.store.connection import CODEC

OBJECT, LIST = 0x03, 0x04


class Element(NamedTuple):
    """A value as it stands in a document: the byte that tells its type, and its own bytes."""

    kind: int
    payload: bytes


Fields = list[tuple[str, Element]]


def element(value: Any) -> Element:
    """What the driver makes of a value."""
    raw = bson.encode({"": value}, codec_options=CODEC)
    return Element(raw[4], raw[6:-1])


def raw_document(fields: Iterable[tuple[str, Element]]) -> bytes:
    """A document of these fields, in this order, however often one comes."""
    body = b"".join(
        bytes([kind]) + name.encode() + b"\0" + payload for name, (kind, payload) in fields
    )
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def an_object(fields: Iterable[tuple[str, Element]]) -> Element:
    return Element(OBJECT, raw_document(fields))


def a_list(items: Sequence[Element]) -> Element:
    return Element(LIST, raw_document((str(number), item) for number, item in enumerate(items)))


def nested(depth: int, *, lists: bool = False) -> Element:
    """Objects, or lists, that lie so deeply within each other."""
    value = element(1)
    for _ in range(depth):
        value = a_list([value]) if lists else an_object([("a", value)])
    return value


def text_bytes(raw: bytes) -> bytes:
    """The payload of a string."""
    return struct.pack("<i", len(raw) + 1) + raw + b"\0"


FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16,
         0xFF: 0, 0x7F: 0}  # fmt: skip
COUNTED = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}
"""What a payload has beside as many bytes as its first four say."""


def fields_of(raw: bytes) -> dict[str, Element]:
    """The fields of a document as they stand in it."""
    found: dict[str, Element] = {}
    at = 4
    while raw[at]:
        kind, end = raw[at], raw.index(b"\0", at + 1)
        name, at = raw[at + 1 : end].decode(), end + 1
        end = at + _length(kind, raw, at)
        found[name], at = Element(kind, raw[at:end]), end
    return found


def _length(kind: int, raw: bytes, at: int) -> int:
    if kind in FIXED:
        return FIXED[kind]
    if kind in COUNTED:
        return int(struct.unpack_from("<i", raw, at)[0]) + COUNTED[kind]
    assert kind == 0x0B, f"no type of BSON: {kind:#x}"
    pattern = raw.index(b"\0", at)
    return raw.index(b"\0", pattern + 1) + 1 - at
