"""Documents read as they are stored: an object with `$ref` and `$id` stays that object."""

from __future__ import annotations

from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from agent.models import Document
from agent.store.connection import CODEC

RAW = CODEC.with_options(document_class=RawBSONDocument)
"""For a collection that is read by `plain`."""


def decode(data: bytes) -> Document:
    """A document from its BSON.

    Raises:
        InvalidBSON: it is none.
    """
    return plain(RawBSONDocument(data, codec_options=RAW))


def plain(raw: RawBSONDocument) -> Document:
    """The document. The driver by itself makes a `DBRef` of what looks like one, and there loses
    the order of its fields and a null `$db`."""
    if b"\x02$ref\x00" not in raw.raw:
        return bson.decode(raw.raw, codec_options=CODEC)
    return {name: _plain(value) for name, value in raw.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, RawBSONDocument):
        return plain(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
