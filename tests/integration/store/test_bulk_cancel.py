"""All that match, cancelled at once, on a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.errors import RequestInvalid
from agent.models import FINAL, Status
from agent.store import pace
from agent.store.bulk import Progress
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection
from tests.factories import LONG_AGO, a_context
from tests.integration.store.failures import SECOND

OPEN = [status for status in Status if status not in FINAL]
EVERYTHING = Selection()


@pytest.fixture(params=[True, False], ids=["indexed", "without indexes"])
def indexed(request: pytest.FixtureRequest, repository: MongoContextRepository) -> None:
    """What is asked does not depend on the indexes."""
    if request.param:
        repository.create_indexes()


def ids_in(repository: MongoContextRepository, status: str) -> set[Any]:
    return {each["_id"] for each in repository.contexts.find({"status": status}, {"_id": 1})}


@pytest.mark.usefixtures("indexed")
def test_whatever_is_not_final_is_cancelled(repository: MongoContextRepository) -> None:
    """As a single one is, its lease and what was accepted of it too; nothing else is."""
    repository.insert_contexts([a_context(_id=str(each), status=each) for each in Status])
    assert repository.count_cancellable(EVERYTHING) == len(OPEN)
    progress = repository.cancel_matching(EVERYTHING)
    assert (progress.matched, progress.changed) == (len(OPEN), len(OPEN))
    assert ids_in(repository, "cancelled") == {"cancelled", *map(str, OPEN)}


def test_only_what_matches_is_cancelled(repository: MongoContextRepository) -> None:
    """By service, tag, user and the time it was made."""
    repository.insert_contexts(
        [
            a_context(_id="ours", tags={"team": "north"}),
            a_context(_id="tag", tags={"team": "south"}),
            a_context(_id="service", tags={"team": "north"}, service_type="ANALYSIS"),
            a_context(_id="old", tags={"team": "north"}, created_at=LONG_AGO - 9 * SECOND),
        ]
    )
    selection = Selection(service_type="GENERATIVE", tag=("team", "north"), since=LONG_AGO)
    assert repository.cancel_matching(selection).changed == 1
    assert ids_in(repository, "cancelled") == {"ours"}


def test_a_status_that_is_named_is_asked_for_at_the_write_too(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cancels what waits does not mean a call that has begun since."""
    repository.insert_contexts([a_context(_id="a"), a_context(_id="b")])
    write_batch = repository._write_batch

    def after_a_start(writes: Any) -> Any:
        repository.contexts.update_one({"_id": "a"}, {"$set": {"status": "processing"}})
        return write_batch(writes)

    monkeypatch.setattr(repository, "_write_batch", after_a_start)
    progress = repository.cancel_matching(Selection(status=Status.PENDING))
    assert (progress.changed, progress.moved_on) == (1, 1)
    assert ids_in(repository, "processing") == {"a"}


def test_what_is_made_meanwhile_is_left_alone(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that goes on keeps nobody busy for ever."""
    monkeypatch.setattr(pace, "BATCH", 5)
    repository.insert_contexts([a_context() for _ in range(12)])

    def make_more(_: Progress) -> None:
        later = repository.now() + timedelta(seconds=5)
        repository.insert_contexts([a_context(created_at=later) for _ in range(5)])

    assert repository.cancel_matching(EVERYTHING, on_progress=make_more).changed == 12


@pytest.mark.parametrize("status", sorted(FINAL))
def test_what_is_final_is_not_cancelled(repository: MongoContextRepository, status: Status) -> None:
    """As for a single one."""
    for ask in (repository.cancel_matching, repository.count_cancellable):
        with pytest.raises(RequestInvalid, match=str(status)):
            ask(Selection(status=status))
