"""Adoption on a real server: whatever another program inserted is carried out, or fails with a
reason; and what is its own stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from agent.duties.adopt import Adopt
from agent.intake.templates import TemplateSource
from agent.models import ABSENT, Context, Document
from agent.store.connection import CODEC
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.raw import RAW
from tests.factories import LONG_AGO, a_template, foreign

LEASE = timedelta(seconds=30)


@pytest.fixture
def adopt(repository: MongoContextRepository) -> Adopt:
    registry = repository.settings.registry
    source = TemplateSource(repository, registry=registry)
    return Adopt(repository, registry, source, dict.fromkeys(registry, 20))


def insert(repository: MongoContextRepository, *documents: Document) -> None:
    repository.contexts.insert_many(documents)


def raw_of(repository: MongoContextRepository, context_id: Any) -> RawBSONDocument:
    found = repository.contexts.with_options(RAW).find_one({"_id": context_id})
    assert found is not None
    return cast(RawBSONDocument, found)


def bytes_of(value: Any) -> bytes:
    """A value as it stands in BSON."""
    return bson.encode({"": value}, codec_options=RAW)


def as_was(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, bytes]:
    """The fields that a document had, with what `adopted` has kept put back in its place.

    Of a template and a request that were objects only the fields that were overwritten are kept.
    """
    kept: Mapping[str, Any] = after.get("adopted", {})
    found = {}
    for name, value in before.items():
        if name in ("template", "request") and isinstance(value, Mapping):
            whole = {**after[name], **kept.get(name, {})}
            found[name] = bytes_of({each: whole[each] for each in value})
        else:
            found[name] = bytes_of(kept[name] if name in kept else after[name])
    return found


OWN_FIELDS: Document = {
    "order": ["a", {"b": 1}, 2.5],
    "nested": {"z": 1, "a": {"$gt": 5, "$where": "x"}, "m.n": None},
    "link": {"$ref": "orders", "$id": ObjectId()},
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "old_uuid": Binary(bytes(range(16)), 3),
    "money": Decimal128("1.50"),
    "big": Int64(2**60),
    "small": Int64(1),
    "whole": 1.0,
    "nan": float("nan"),
    "pattern": Regex("^a", "i"),
    "stamp": Timestamp(1, 2),
    "code": Code("f()"),
    "end": MaxKey(),
    "blob": b"\x00\xff",
    "when": LONG_AGO,
    "nothing": None,
    "text": "Grüße \U0001f600",
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"service_type": "generative", "template": {"id": "welcome", "service_template": {}}},
        {"tags": ["generative", "user:42"], "template": {"service_template": {"prompt": "Hi"}}},
        {"tags": {"service": "Analysis"}, "template": {"service_template": {"data": [1]}}},
        {"template": ABSENT, "template_id": "greeting"},
        {"template": {"id": "greeting"}},
        {"template": "greeting"},
        {"created_at": "2024-05-01T12:00:00", "priority": 99, "request": {"urgent": True}},
        {"created_at": "2024-05-01T12:00:00+02:00", "priority": "high"},
        {"priority": 3.0, "fence": None, "lease": {"owner": "x"}, "remote": {"status_url": "x"}},
        {"request": {"id": 7, "text": 12, "data": {"$gt": 1, "a.b": {"$ref": "x", "$id": 1}}}},
        {"request": {}, "kind": "parent", "attempts": "many", "failures": -3, "schema": "1"},
        {"adopted": {"by": "them"}, "service_type": "Generative", "tags": None},
        {"status": "pending", "error": "none yet", "after": [1], "step": 2, "metadata": 5},
    ],
    ids=range(14),
)
def test_a_document_in_any_known_shape_is_adopted(
    repository: MongoContextRepository, adopt: Adopt, fields: Document
) -> None:
    """It is a whole context then, and all that it had is there or kept under `adopted`."""
    repository.store_template(a_template())
    document = foreign(_id="them", **{**OWN_FIELDS, **fields})
    insert(repository, document)
    before = raw_of(repository, "them")
    assert adopt.run() == 1
    after = raw_of(repository, "them")
    assert as_was(before, after) == {name: bytes_of(value) for name, value in before.items()}
    assert all(bytes_of(after[name]) == bytes_of(before[name]) for name in OWN_FIELDS)
    whole = Context.model_validate(repository.find_context("them"))
    assert (whole.status, whole.source, whole.fence) == ("pending", "foreign", 0)
    name = whole.service_type
    [claim] = repository.claim(name, calls=9, lease=LEASE, owner="bridge:1")
    assert claim.context_id == "them"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"service_type": "translation"}, "known service types are GENERATIVE"),
        ({"template": {"id": "x", "service_template": {}}}, "no service type"),
        ({"template": ABSENT}, "no template"),
        ({"template": ABSENT, "template_id": "unheard-of"}, "unheard-of"),
        ({"request": ABSENT}, "`request` is missing"),
        ({"request": "do it"}, "`request` is a string"),
        ({"request": {"data": [1]}}, "`request.data` is a list"),
        ({"tags": ["analysis", "generative"], "template": {"service_template": {}}}, "several"),
        ({"template": {"service_type": "ANALYSIS", "service_template": 7}}, "is a number"),
    ],
)
def test_a_document_that_says_too_little_fails_with_a_reason(
    repository: MongoContextRepository, adopt: Adopt, fields: Document, reason: str
) -> None:
    """Still without a fence, and every field that it had as it was."""
    document = foreign(_id="them", **{**OWN_FIELDS, **fields})
    insert(repository, document)
    before = raw_of(repository, "them")
    assert adopt.run() == 1
    after = raw_of(repository, "them")
    assert after["status"] == "failed"
    assert after["error"]["type"] == "ContextUnreadable"
    assert reason in after["error"]["message"]
    assert "fence" not in after
    kept = [name for name in before if name != "status"]
    assert [bytes_of(after[name]) for name in kept] == [bytes_of(before[name]) for name in kept]
    assert adopt.run() == 0


def test_a_retry_adopts_it_anew(repository: MongoContextRepository, adopt: Adopt) -> None:
    """Once somebody has stored the template that was missing."""
    insert(repository, foreign(_id="them", template=ABSENT, template_id="greeting"))
    adopt.run()
    assert repository.find_context("them")["status"] == "failed"
    repository.store_template(a_template())
    repository.retry("them")
    assert adopt.run() == 1
    assert repository.find_context("them")["fence"] == 0


@pytest.mark.parametrize(
    "context_id",
    [
        ObjectId(),
        7,
        Int64(2**60),
        1.5,
        True,
        UUID("12345678-1234-5678-1234-567812345678"),
        Binary(bytes(range(16)), 3),
        b"\x00\xff",
        datetime(2025, 3, 1, tzinfo=UTC),
        {"tenant": "a", "number": 1},
        {"b": {"c": ObjectId()}, "a": [1, {"x": None}]},
        "ctx 1/ä:?#",
        "",
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_id_of_any_kind_stays_what_it_is(
    repository: MongoContextRepository, adopt: Adopt, context_id: Any
) -> None:
    """Through adoption and claim."""
    insert(repository, foreign(_id=context_id))
    assert adopt.run() == 1
    [claim] = repository.claim("GENERATIVE", calls=9, lease=LEASE, owner="bridge:1")
    assert bytes_of(claim.context_id) == bytes_of(context_id)
    [raw] = repository.contexts.with_options(RAW).find()
    assert bytes_of(raw["_id"]) == bson.encode({"": context_id}, codec_options=CODEC)


@pytest.mark.parametrize("fence", ["3", -1, 1.5, True, [], {"$gt": 0}, datetime(2025, 3, 1)])
def test_an_odd_fence_is_found_by_the_thorough_look(
    repository: MongoContextRepository, adopt: Adopt, fence: Any
) -> None:
    """None is skipped in silence; the quick look need not see it."""
    insert(repository, foreign(_id="them", fence=fence))
    adopt.run()
    adopt.run_thoroughly()
    document = repository.find_context("them")
    assert (document["status"], type(document["fence"])) == ("pending", int)
    assert len(repository.claim("GENERATIVE", calls=9, lease=LEASE, owner="bridge:1")) == 1


def test_one_that_cannot_be_decoded_fails_alone(
    repository: MongoContextRepository, adopt: Adopt
) -> None:
    """The others of its batch are adopted."""
    insert(repository, *(foreign(_id=f"them{n}") for n in range(4)))
    insert(repository, foreign(_id="broken", uuid=Binary(b"too short", 4)))
    assert adopt.run() == 5
    states = {each["_id"]: each for each in repository.contexts.find({}, {"status": 1, "error": 1})}
    assert states["broken"]["status"] == "failed"
    assert "cannot be decoded" in states["broken"]["error"]["message"]
    assert {states[f"them{n}"]["status"] for n in range(4)} == {"pending"}


@pytest.mark.parametrize("field", ["_id", "uuid"])
def test_one_that_cannot_be_decoded_holds_up_no_other(
    repository: MongoContextRepository, adopt: Adopt, field: str
) -> None:
    """Not even where its id is what nobody can read: the look, the list and the claim go on."""
    insert(repository, foreign(**{field: Binary(b"too short", 4)}), foreign(_id="them"))
    assert repository.look().pending is True
    assert adopt.run() == 2
    assert repository.find_context("them")["fence"] == 0
    assert [each["status"] for each in repository.list_contexts()].count("failed") == 1
    assert len(repository.claim("GENERATIVE", calls=9, lease=LEASE, owner="bridge:1")) == 1


def test_one_that_another_program_changes_meanwhile_is_read_again(
    repository: MongoContextRepository, adopt: Adopt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adoption rests on what it read; the next round reads what is there now."""
    insert(repository, foreign(_id="them", tags=["x"]))
    readable = repository.readable

    def read_too_early(ids: Any) -> Any:
        found = readable(ids)
        repository.contexts.update_one({"_id": "them"}, {"$set": {"service_type": "ANALYSIS"}})
        return found

    monkeypatch.setattr(repository, "readable", read_too_early)
    assert adopt.run() == 0
    monkeypatch.setattr(repository, "readable", readable)
    assert adopt.run() == 1
    assert repository.find_context("them")["service_type"] == "ANALYSIS"


def test_a_backlog_is_adopted_whole(repository: MongoContextRepository, adopt: Adopt) -> None:
    """However many batches that takes."""
    insert(repository, *(foreign(_id=n) for n in range(250)))
    assert adopt.run() == 250
    assert repository.foreign() == []


def test_what_is_ours_is_left_alone(repository: MongoContextRepository, adopt: Adopt) -> None:
    """And what is not pending."""
    ours = {"fence": 3, "available_at": LONG_AGO, "service_type": "GENERATIVE"}
    insert(repository, foreign(_id="done", status="completed"), foreign(_id="ours", **ours))
    assert adopt.run() + adopt.run_thoroughly() == 0
