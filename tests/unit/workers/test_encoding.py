"""How values go over the wire."""

import json
import math
import re
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from bson import SON, Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex
from bson.datetime_ms import DatetimeMS
from bson.timestamp import Timestamp

from agent.errors import RequestNotSendable
from agent.workers.encoding import encode_body, header_text, idempotency_key

AN_ID = ObjectId("65f000000000000000000001")
A_UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
BERLIN = timezone(timedelta(hours=2))


def encoded(value: Any) -> Any:
    return json.loads(encode_body({"v": value}))["v"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 3, 1, 12, 0, tzinfo=UTC), "2026-03-01T12:00:00Z"),
        (datetime(2026, 3, 1, 12, 0, 0, 5000), "2026-03-01T12:00:00.005000Z"),
        (datetime(2026, 3, 1, 12, 0, tzinfo=BERLIN), "2026-03-01T10:00:00Z"),
        (datetime(1, 1, 1, tzinfo=BERLIN), "0001-01-01T00:00:00+02:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (DatetimeMS(2**60), str(2**60)),
        (Timestamp(0, 1), "1970-01-01T00:00:00Z"),
        (AN_ID, str(AN_ID)),
        (A_UUID, str(A_UUID)),
        (b"\x00\xff", "AP8="),
        (Binary(b"\x00\xff", 128), "AP8="),
        (Decimal128("1.10"), "1.10"),
        (Decimal("1.10"), "1.10"),
        (Int64(7), 7),
        (2**70, 2**70),
        (Regex("^a", "i"), "^a"),
        (re.compile("^a"), "^a"),
        (Code("f()"), "f()"),
        (MinKey(), "MinKey"),
        (MaxKey(), "MaxKey"),
        (DBRef("c", AN_ID), {"$ref": "c", "$id": str(AN_ID)}),
        (SON(a=1), {"a": 1}),
        (OrderedDict(a=(1, 2)), {"a": [1, 2]}),
        (math.nan, None),
        ([1.5, math.inf, {"x": -math.inf}], [1.5, None, {"x": None}]),
        ("ü\x00\u2028😀", "ü\x00\u2028😀"),
        (None, None),
        (True, True),
    ],
)
def test_every_stored_value_has_a_form(value: Any, expected: Any) -> None:
    """What JSON does not have goes as text, and what is no number as null."""
    assert expected == encoded(value)


@pytest.mark.parametrize("odd", [math.nan, datetime(2026, 3, 1, tzinfo=UTC)])
def test_values_beside_an_odd_one_stay_as_they_are(odd: Any) -> None:
    """The quick way and the thorough one give the same bytes."""
    plain = {"s": "ü", "i": 1, "f": 0.1, "l": [1, [2]], "d": {"k": None}, "id": AN_ID}

    both = json.loads(encode_body({"odd": odd, **plain}))

    assert json.loads(encode_body(plain)) == {k: v for k, v in both.items() if k != "odd"}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"n": value}
    return value


def circular() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [{"b": "\ud800"}]}, "v.a.0.b: has a character"),
        ({"a": {"\udfff": 1}}, "v.a: has a character"),
        ({"a": {1: 2}}, "v.a: has a key that is no string but int"),
        ({"a": {None: 2}}, "v.a: has a key that is no string but NoneType"),
        ({"a": {1, 2}}, "v.a: set has no form in JSON"),
        ({"a": object()}, "v.a: object has no form in JSON"),
        ({"a": 10**5000}, "v.a: the number has too many digits"),
        (deep(300), "nested more than 200 deep"),
        (deep(5000), "nested more than 200 deep"),
        (circular(), "nested more than 200 deep"),
    ],
)
def test_what_cannot_be_sent_names_its_field(value: Any, message: str) -> None:
    """An operator learns where the fault is, and the value itself is not told."""
    with pytest.raises(RequestNotSendable, match=re.escape(message)) as caught:
        encode_body({"v": value})

    assert len(str(caught.value)) < 300
    str(caught.value).encode("ascii", "ignore").decode()


def test_a_document_as_deep_as_mongodb_has_them_is_sent() -> None:
    """Depth is limited above what can be stored."""
    assert encode_body(deep(150))


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"_id": "ctx_01J"}, "ctx_01J"),
        ({"_id": "a/b:c?=~!"}, "a/b:c?=~!"),
        ({"_id": "a b\r\nü"}, "a%20b%0D%0A%C3%BC"),
        ({"_id": "50%"}, "50%25"),
        ({"_id": "ctx", "key_generation": 0}, "ctx"),
        ({"_id": "ctx", "key_generation": 2, "generation": 5}, "ctx:2"),
        ({"_id": "ctx", "key_generation": "2"}, "ctx"),
        ({"_id": AN_ID}, "%7B%22%24oid%22%3A%20%2265f000000000000000000001%22%7D"),
        ({"_id": 5}, "%7B%22%24numberInt%22%3A%20%225%22%7D"),
        ({"_id": None, "key_generation": 1}, "null:1"),
    ],
)
def test_the_idempotency_key_is_the_id(document: dict[str, Any], key: str) -> None:
    """The key is stable, fits into a header, and an operator's generation follows it."""
    assert key == idempotency_key(document)


def test_no_two_ids_share_a_key() -> None:
    """Ids that differ only in type, or by what encoding does, keep different keys."""
    ids = ["5", 5, Int64(5), 5.0, "a b", "a%20b", A_UUID, str(A_UUID), AN_ID, str(AN_ID)]

    assert len(ids) == len({idempotency_key({"_id": context_id}) for context_id in ids})


@pytest.mark.parametrize("text", ["\ud800", "\x00", "\x7f", "日本"])
def test_any_text_fits_into_a_header(text: str) -> None:
    """Headers are visible ASCII, whatever an id is made of."""
    assert re.fullmatch(r"[\x21-\x7e]+", header_text(text))
