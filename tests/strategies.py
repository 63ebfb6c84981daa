"""Hypothesis strategies: documents and replies as bad as other programs and services can make them.

A document is built from raw BSON, so that it may have what no driver of ours would write: a key
twice, a date beyond any calendar, types long abolished.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.raw_bson import Element, a_list, an_object, element, nested, text_bytes

SETTLED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def tried(examples: int, *, thorough: int, **more: Any) -> settings:
    """So many examples, the same ones each time; `HYPOTHESIS_PROFILE=thorough` tries others, more
    of them. A server's pace is no part of a test, so there is no deadline."""
    if THOROUGH:
        more |= {"max_examples": thorough}
    else:
        more |= {"max_examples": examples, "derandomize": True, "database": None}
    return settings(deadline=None, suppress_health_check=SETTLED, print_blob=True, **more)


# BSON

LONG_AGO_MS, FAR_AHEAD_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 and 9999."""

WHOLE = st.one_of(
    st.integers(-2, 25),
    st.sampled_from([2**31 - 1, 2**31, 2**53, 2**63 - 1, -(2**63), -1]),
)
FLOATS = st.sampled_from([0.0, -0.0, 1.0, 1.5, -1e308, 5e-324, float("inf"), float("nan")])
WORDS = st.sampled_from(
    ["", "pending", "queued", "generative", " ANALYSIS ", "Communication", "user:42", "parent", "1",
     "2025-03-01", "0001-01-01T00:00:00+14:00", "\U0001f600", "a\0b", "x" * 600]
)  # fmt: skip
DATES = st.one_of(
    st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(
        lambda date: date.replace(tzinfo=UTC)
    ),
    st.sampled_from([LONG_AGO_MS, FAR_AHEAD_MS, -(2**63), 2**63 - 1, LONG_AGO_MS - 1]).map(
        DatetimeMS
    ),
)
ODD = st.sampled_from(
    [b"\x00\xff", Binary(b"x", 128), Binary(bytes(16), 3), MinKey(), MaxKey(), Decimal128("1.5"),
     Decimal128("NaN"), Decimal128("1E+6144"), Timestamp(1, 2), Timestamp(2**32 - 1, 0), ObjectId(),
     Regex("^a", "i"), Regex(".*"), Code("f()"), Code("f()", {"x": 1}), Int64(7), True, False]
)  # fmt: skip
UNWRITTEN = st.sampled_from(
    [
        Element(0x06, b""),  # undefined
        Element(0x0E, text_bytes(b"symbol")),
        Element(0x0C, text_bytes(b"there") + bytes(12)),  # a pointer into a collection
        Element(0x05, struct.pack("<i", 5) + b"\x04short"),  # a UUID of five bytes
        Element(0x05, struct.pack("<i", 6) + b"\x02\x02\x00\x00\x00ab"),  # old binary
        Element(0x02, text_bytes(b"\xff\xfe")),  # no UTF-8
        Element(0x02, text_bytes(b"\xed\xa0\x80")),  # a lone surrogate
        Element(0x08, b"\x02"),  # neither true nor false
        Element(0x0B, b"(\0z\0"),  # no regular expression
    ]
)
"""What a driver of today does not write; a server may refuse it, too."""

KEYS = st.sampled_from(
    ["id", "a", "version", "service_type", "service_template", "service", "urgent", "data",
     "metadata", "text", "user_id", "owner", "claim_id", "token", "expires_at", "status_url",
     "accepted_at", "polls", "number", "outcome", "error", "fence", "type", "message", "",
     "$gt", "$where", "$ref", "$id", "$", "a.b", ".", "ü"]
)  # fmt: skip
SCALARS = st.one_of(
    st.none().map(element),
    WHOLE.map(element),
    FLOATS.map(element),
    WORDS.map(element),
    DATES.map(element),
    ODD.map(element),
    UNWRITTEN,
)


def _objects(values: st.SearchStrategy[Element]) -> st.SearchStrategy[Element]:
    return st.lists(st.tuples(KEYS, values), max_size=4).map(an_object)


ELEMENTS: st.SearchStrategy[Element] = st.recursive(
    st.one_of(SCALARS, st.sampled_from([nested(12), nested(12, lists=True)])),
    lambda inner: st.one_of(_objects(inner), st.lists(inner, max_size=3).map(a_list)),
    max_leaves=6,
)
"""Any value of BSON."""


def shaped(
    plain: Mapping[str, Any], names: Sequence[str], values: st.SearchStrategy[Element], *, most: int
) -> st.SearchStrategy[list[tuple[str, Element]]]:
    """A well-formed document in which some fields hold anything, are missing, or come twice."""
    spoilt = st.dictionaries(st.sampled_from(names), values, min_size=1, max_size=most)
    twice = st.lists(st.sampled_from(names), max_size=1)
    missing = st.lists(st.sampled_from(sorted(plain)), max_size=1)

    def put_together(
        parts: tuple[dict[str, Element], list[str], list[str]],
    ) -> list[tuple[str, Element]]:
        anything, again, gone = parts
        fields = {name: element(value) for name, value in plain.items() if name not in gone}
        fields |= anything
        return [*fields.items(), *((name, fields[name]) for name in again if name in fields)]

    return st.tuples(spoilt, twice, missing).map(put_together)


# JSON

JSON_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(codec=None), max_size=8),  # lone surrogates among them
    st.sampled_from([10**400, 2**63, 2**64, -(2**63) - 1, "generative", "2025-03-01", "accepted"]),
)
JSON_KEYS = st.one_of(
    st.sampled_from(["", "id", "status", "success", "error", "$gt", "a.b", "data", "template",
                     "service_type", "service_template", "version", "retryable", "a\0b"]),
    st.text(st.characters(codec=None), max_size=4),
)  # fmt: skip
JSON: st.SearchStrategy[Any] = st.recursive(
    JSON_SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(JSON_KEYS, inner, max_size=4)
    ),
    max_leaves=8,
)
"""Any value that JSON, as Python reads it, can bring: infinities and lone surrogates included."""


def as_json(value: Any) -> bytes:
    """As a careless program writes it: `NaN`, `Infinity`, and a surrogate escaped."""
    return json.dumps(value).encode()


ODD_BODIES = st.sampled_from(
    [b"", b"{", b"null", b'{"a": 1e400}', b'{"a": -1e400}', b'{"a": NaN}', b'{"a": "\\ud800"}',
     b'{"\\udfff": 1}', b'{"a": 1, "a": 2}', b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000,
     b'{"a": ' + b"9" * 5000 + b"}", b"\xff\xfe{}", b'\xef\xbb\xbf{"ok": true}', b'{"a": "\xff"}',
     b'{"status": "accepted", "id": ""}', b'{"status": "accepted", "id": ".."}',
     b'{"status": "accepted", "id": "\\ud800"}', b'{"status": "accepted", "id": 1e5}',
     b'{"success": false, "error": {"message": ["x"], "loc": [[1]]}}', b'{"success": "false"}']
)  # fmt: skip
BODIES = st.one_of(ODD_BODIES, JSON.map(as_json), st.binary(max_size=40))
"""What a service, or whoever stands in for it, may answer."""
HEADER_VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1e400", "120", "9" * 400, "1.5", "Infinity", "nan", "soon", "/next",
         "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 99999 99:99:99 +9999", "//evil.example/x",
         "http://base.example/api/1", "http://base.example:99999/", "http://[::1", "http://a@b/",
         "https://base.example\\@evil/", "..//..", "\xff\xfe", "?#"]
    ),
    st.text(st.characters(max_codepoint=255), max_size=12),
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["location", "retry-after", "content-type", "content-length", "x"]),
    HEADER_VALUES,
    max_size=3,
)
STATUSES = st.one_of(
    st.sampled_from([200, 201, 202, 204, 301, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504]),
    st.integers(200, 999),
)
