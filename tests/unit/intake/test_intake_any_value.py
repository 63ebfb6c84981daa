"""Adoption of documents with any BSON value in any field of the contract."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import bson
from bson import (
    Binary,
    Code,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ContextUnreadable
from agent.intake.foreign import ABSENT, read_foreign
from agent.models import Context
from agent.services import ServiceRegistry

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
REGISTRY = ServiceRegistry()
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=4)

WORDS = st.sampled_from(
    ["", "generative", "ANALYSIS", " Communication ", "user:42", "1", "parent", "context", "id"]
)
DATES = st.one_of(
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
)
ISO_STRINGS = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2025-01-01"]),
)
WHOLE = st.one_of(st.integers(-2, 25), st.integers(-(2**63), 2**63 - 1))
ODD = st.one_of(
    st.binary(max_size=4),
    st.binary(max_size=4).map(lambda raw: Binary(raw, 128)),
    st.uuids(version=4).map(lambda value: uuid.UUID(int=value.int)),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    WHOLE.map(Int64),
    st.sampled_from(
        [
            MinKey(),
            MaxKey(),
            Decimal128("1.5"),
            Decimal128("NaN"),
            Timestamp(1, 2),
            Regex("^a", "i"),
            Code("generative"),
            Code("x", {"y": 1}),
            DBRef("templates", 1),
        ]
    ),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), WHOLE, st.floats(), WORDS, st.text(max_size=5), DATES, ISO_STRINGS,
    ODD,
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(
        ["id", "version", "service_type", "service_template", "generative_template", "service",
         "steps", "urgent", "data", "metadata", "text", "user_id", "purpose_id", "number",
         "outcome", "type", "message", "$gt", "a.b"]
    ),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=4),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=6,
)
CONTRACT = sorted(
    {field.alias or name for name, field in Context.model_fields.items()}
    | {"template_id", "adopted", "theirs", "id"}
)
GOOD = st.fixed_dictionaries(
    {
        "request": st.just({"id": "req-1", "data": {"name": "Ann"}}),
        "template": st.just({"id": "t", "service_type": "generative", "service_template": {}}),
    }
)
STRANGE = st.dictionaries(st.sampled_from(CONTRACT), VALUES, max_size=6)
DOCUMENTS = st.tuples(GOOD, STRANGE, st.lists(st.sampled_from(["request", "template"]))).map(
    lambda parts: {
        "_id": 1,
        "status": "pending",
        **{name: value for name, value in parts[0].items() if name not in parts[2]},
        **{name: value for name, value in parts[1].items() if name != "status"},
    }
)
TEMPLATES = st.one_of(st.none(), st.dictionaries(NAMES, VALUES, max_size=4))


def adopted(document: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> Any:
    """What is read, or None when it is unreadable; any other exception escapes."""
    try:
        return read_foreign(
            document,
            registry=REGISTRY,
            find_template=lambda _: stored,
            now=NOW,
            max_attempts=lambda _: 20,
        )
    except ContextUnreadable:
        return None


@settings(max_examples=600, deadline=None)
@given(DOCUMENTS, TEMPLATES)
def test_any_document_is_adopted_as_a_valid_context_or_is_unreadable(
    document: dict[str, Any], stored: dict[str, Any] | None
) -> None:
    """Whatever stands in its fields, there is a context of the contract or a reason."""
    before = bson.encode(document, codec_options=CODEC)
    adoption = adopted(document, stored)
    assert before == bson.encode(document, codec_options=CODEC)
    if adoption is None:
        return
    after = {**document, **adoption.changes}
    context = Context.model_validate(after)
    assert context.service_type in REGISTRY
    assert 1 <= context.priority <= 10
    assert context.kind == "context"
    assert context.lease is None
    assert context.remote is None
    assert isinstance(after["fence"], int)
    for name in ("created_at", "updated_at", "available_at"):
        assert isinstance(after[name], datetime)
    bson.encode({**after, "adopted": adoption.originals}, codec_options=CODEC)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_what_is_overwritten_is_kept_and_what_was_read_is_told(document: dict[str, Any]) -> None:
    """Each original stands in `originals`, and `read` has every change as it was found."""
    adoption = adopted(document)
    if adoption is None:
        return
    assert set(adoption.changes) <= set(adoption.read)
    for name, value in adoption.read.items():
        assert value is document.get(name, ABSENT)
    for name in set(adoption.changes) & set(document) - {"template", "request"}:
        assert adoption.originals[name] is document[name]
    for name in {"template", "request"} & set(adoption.changes) & set(document):
        if not isinstance(document[name], dict):
            assert adoption.originals.get(name) is document.get(name)
            continue
        kept = {**adoption.changes[name], **adoption.originals.get(name, {})}
        assert all(kept[key] is value for key, value in document[name].items())


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_what_was_adopted_needs_no_second_adoption(document: dict[str, Any]) -> None:
    """Once applied, the same reading changes nothing but the time of the update."""
    adoption = adopted(document)
    if adoption is not None:
        again = adopted({**document, **adoption.changes})
        assert set(again.changes) <= {"updated_at"}


def test_a_value_nested_very_deeply_is_carried_along() -> None:
    """Depth costs nothing, for nobody walks into what is not of the contract."""
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    request = {"id": "r", "data": {"deep": deep}, "urgent": deep}
    for name in CONTRACT:
        if name in ("status", "_id"):
            continue
        document = {
            "_id": 1,
            "status": "pending",
            "template": {"id": "t", "service_type": "ANALYSIS", "service_template": {}},
            "request": request,
            name: deep,
        }
        adoption = adopted(document)
        if adoption is not None:
            assert adoption.read.get(name, deep) is deep
