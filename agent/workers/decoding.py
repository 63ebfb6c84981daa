"""Compressed replies, decoded within a bound: a bomb costs no more than the limit."""

from __future__ import annotations

import zlib

AUTOMATIC = 32 + zlib.MAX_WBITS  # gzip or zlib, by the head of the data
RAW = -zlib.MAX_WBITS  # what some servers mean by "deflate"


def decode(raw: bytes, encoding: str, most: int) -> bytes | None:
    """The body behind a `Content-Encoding`; None when it is over `most` bytes.

    Raises:
        ValueError: the encoding is not known, or the data are not whole.
    """
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError("encoding not understood")
    try:
        return _inflate(raw, AUTOMATIC, most)
    except zlib.error as exc:
        if encoding != "deflate":
            raise ValueError("the compressed reply is damaged") from exc
    try:
        return _inflate(raw, RAW, most)
    except zlib.error as exc:
        raise ValueError("the compressed reply is damaged") from exc


def _inflate(raw: bytes, window: int, most: int) -> bytes | None:
    """All members of the data, one after the other."""
    body = bytearray()
    while raw:
        member = zlib.decompressobj(window)
        body += member.decompress(raw, most + 1 - len(body))
        if len(body) > most:
            return None
        if not member.eof:
            raise ValueError("the compressed reply is cut short")
        raw = member.unused_data.lstrip(b"\0")
    return bytes(body)
