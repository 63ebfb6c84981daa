"""A context's id through JSON and back."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, datetime

import pytest
from bson import Decimal128, Int64, ObjectId

from agent.store.ejson import decode_id, encode_id

IDS = [
    "ctx_01J",
    "",
    "42",
    '{"$oid": "no"}',
    ObjectId("65f0c0ffee65f0c0ffee65f0"),
    uuid.UUID("12345678-1234-5678-1234-567812345678"),
    0,
    -(2**31),
    2**31,
    Int64(2**53 + 1),
    2**63 - 1,
    1.5,
    1.0,
    -0.0,
    1e300,
    math.inf,
    b"",
    b"\x00\xff",
    datetime(2024, 2, 29, 23, 59, 59, 123000, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 1000, tzinfo=UTC),
    True,
    None,
    Decimal128("1.10"),
    {"z": 1, "a": {"y": ObjectId("65f0c0ffee65f0c0ffee65f0"), "b": [1, 2.0, "x", b"\x00"]}},
    {},
]


@pytest.mark.parametrize("value", IDS, ids=repr)
def test_an_id_comes_back_in_type_and_value(value: object) -> None:
    """What an actor gets is what the bridge claimed."""
    through_json = json.loads(json.dumps(encode_id(value)))
    came_back = decode_id(through_json)
    assert came_back == value
    assert isinstance(came_back, type(value))
    assert repr(came_back) == repr(value) or isinstance(came_back, Int64)


def test_a_plain_string_stays_as_it_is() -> None:
    """The common id costs nothing."""
    assert encode_id("ctx_01J") == "ctx_01J"


def test_the_order_of_keys_in_a_nested_document_is_kept() -> None:
    """For MongoDB another order is another id."""
    value = {"b": 1, "a": {"d": 1, "c": 2}}
    came_back = decode_id(json.loads(json.dumps(encode_id(value))))
    assert list(came_back) == ["b", "a"]
    assert list(came_back["a"]) == ["d", "c"]


def test_an_integer_keeps_its_width() -> None:
    """One of 64 bits does not come back as one of 32."""
    assert encode_id(5) == {"$numberInt": "5"}
    assert encode_id(Int64(5)) == {"$numberLong": "5"}
    assert type(decode_id(encode_id(Int64(5)))) is Int64


def test_a_uuid_is_written_as_the_standard_subtype() -> None:
    """Other drivers read it too."""
    assert encode_id(uuid.UUID(int=1))["$binary"]["subType"] == "04"


@pytest.mark.parametrize(
    "value",
    [{"$oid": "short"}, {"$numberInt": "x"}, {"$date": "never"}, {"$binary": {"base64": 1}}],
    ids=repr,
)
def test_what_is_no_extended_json_is_refused(value: object) -> None:
    """A message that somebody else wrote cannot crash its actor."""
    with pytest.raises(ValueError, match="no extended JSON"):
        decode_id(value)
