"""Documents read as they are stored: an object with `$ref` and `$id` stays that object."""

from __future__ import annotations

from typing import Any

import bson
import bson.errors
from bson.raw_bson import RawBSONDocument

from agent.models import Document
from agent.store.connection import CODEC

RAW = CODEC.with_options(document_class=RawBSONDocument)
"""For a collection that is read by `plain`."""


LENIENT = CODEC.with_options(uuid_representation=0, unicode_decode_error_handler="replace")
"""What no driver of ours would write (a UUID of five bytes, say) stays what it is."""


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


def legible(raw: RawBSONDocument) -> Document:
    """The document, even where a part of it cannot be decoded: for a list of many, of which one
    must not hide the others."""
    try:
        return plain(raw)
    except bson.errors.InvalidBSON:
        return bson.decode(raw.raw, codec_options=LENIENT)


def _plain(value: Any) -> Any:
    if isinstance(value, RawBSONDocument):
        return plain(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
