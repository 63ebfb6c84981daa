"""Whatever makes a context final says until when it is kept: each way on a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent.models import AttemptRecord, Document
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection
from tests.factories import LONG_AGO, a_context, a_lease, foreign
from tests.integration.store.players import ERROR

DAY = timedelta(days=1)
LOST = AttemptRecord(number=1, outcome="lost", definite=False)

Ask = Callable[[MongoContextRepository, Document], object]
ENDINGS: dict[str, tuple[str, Ask]] = {
    "cancelled": ("pending", lambda r, d: r.cancel(d["_id"])),
    "all that match cancelled": ("pending", lambda r, _: r.cancel_matching(Selection())),
    "late": ("scheduled", lambda r, _: r.expire(r.overdue())),
    "given up": (
        "processing",
        lambda r, _: r.rescue_fail(r.expired_leases()[0], error=ERROR, attempt=LOST),
    ),
    "not to be read": ("pending", lambda r, d: r.adopt_fail(d, read={}, error=ERROR)),
}


@pytest.fixture
def keeping(repository: MongoContextRepository) -> MongoContextRepository:
    """A repository whose settings say something of every end, adopted or not."""
    said = {"retention_failed": "30d", "retention_adopted": True}
    repository.settings = repository.settings.model_copy(update=said)
    return repository


def stored(repository: MongoContextRepository, status: str, **fields: Any) -> Document:
    given = {"_id": "ctx_1", "status": status, "lease": a_lease(), "deadline_at": LONG_AGO}
    document = {**a_context(**given), **fields}
    repository.contexts.insert_one(document)
    return document


def kept_for(repository: MongoContextRepository) -> timedelta | None:
    """Days from now; a test takes no half of one."""
    found = repository.find_context("ctx_1")
    assert found["status"] in ("failed", "cancelled")
    until = found.get("expire_at")
    if until is None:
        return None
    assert isinstance(until, datetime)
    return timedelta(days=round((until - repository.now()) / DAY))


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 30 * DAY),
        ({"retention_seconds": 7 * 86_400}, 7 * DAY),
        ({"retention_seconds": None}, None),
        ({"parent_id": "ctx_0"}, None),
    ],
    ids=["settings", "own", "for ever", "part of a whole"],
)
def test_an_end_says_until_when_it_is_kept(
    keeping: MongoContextRepository, name: str, fields: Document, expected: timedelta | None
) -> None:
    """By the settings, by its request, or by the whole that it is part of."""
    status, ask = ENDINGS[name]
    document = stored(keeping, status, **fields)
    if name == "not to be read":
        keeping.contexts.update_one({"_id": "ctx_1"}, {"$unset": {"fence": ""}})
        document = keeping.find_context("ctx_1")
    ask(keeping, document)
    assert kept_for(keeping) == expected


@pytest.mark.parametrize("name", ENDINGS)
def test_what_another_program_inserted_stays(repository: MongoContextRepository, name: str) -> None:
    """Unless the settings say otherwise."""
    status, ask = ENDINGS[name]
    lies = {"lease": a_lease(), "deadline_at": LONG_AGO, "retention_seconds": 60}
    document = foreign(_id="ctx_1", status=status, **lies)
    repository.settings = repository.settings.model_copy(update={"retention_failed": "30d"})
    repository.contexts.insert_one(document)
    ask(repository, document)
    assert kept_for(repository) is None
