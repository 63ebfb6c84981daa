"""Writes that took place and whose answer got lost on the way."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import AlreadyStored, StoreUnavailable
from agent.models import AttemptRecord, Claim, Document
from agent.store import changes
from agent.store.changes import Hold
from agent.store.group_writer import GroupWriter
from agent.store.locks import Lead
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.runs import Fate
from tests.factories import a_context, a_lease
from tests.faults.proxy import Proxy

LEASE = timedelta(seconds=90)
ATTEMPT = AttemptRecord(number=1, outcome="completed", token="token_1")
HOLD = Hold("ctx_1", 3, "token_1")


def insert(repository: MongoContextRepository, **fields: Any) -> Document:
    document = a_context(**{"_id": "ctx_1", **fields})
    repository.contexts.insert_one(document)
    return document


def complete(repository: MongoContextRepository) -> changes.Write:
    return changes.complete(repository.now(), HOLD, results={"text": "Hi"}, attempt=ATTEMPT)


def test_a_claim_is_read_back(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """The driver does not send such a write again; its claim id says what was taken."""
    for number in range(3):
        insert(repository, _id=f"ctx_{number}")
    network.lose_answer_to(b"claim_")
    claims = distant.claim("GENERATIVE", calls=2, lease=LEASE, owner="bridge:1")
    assert network.lost_answers == 1
    assert [claim.context_id for claim in claims] == ["ctx_0", "ctx_1"]
    stored = [claim for _, claim in repository.queued()]
    assert sorted(stored) == sorted(claims)


def test_a_claim_without_a_network_says_so(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """Nothing is known to be claimed; the next try finds it."""
    insert(repository)
    network.cut()
    with pytest.raises(StoreUnavailable):
        distant.claim("GENERATIVE", calls=1, lease=LEASE, owner="bridge:1")
    network.mend()
    assert distant.wait_until_there()
    assert len(distant.claim("GENERATIVE", calls=1, lease=LEASE, owner="bridge:1")) == 1


@pytest.mark.parametrize("grouped", [True, False])
def test_a_start_is_read_back_by_its_token(
    repository: MongoContextRepository,
    distant: MongoContextRepository,
    network: Proxy,
    grouped: bool,
) -> None:
    """It began once: the attempt is counted once."""
    insert(repository, status="queued", fence=3, lease=a_lease(token=None))
    claim = Claim("ctx_1", 3, "claim_1")
    network.lose_answer_to(b"token_new")
    if grouped:
        writer = GroupWriter(distant)
        write = distant.start_write(claim, owner="w", token="token_new", lease=LEASE)
        started = writer.start(write, claim, "token_new")
        writer.close()
    else:
        started = distant.start(claim, owner="w", token="token_new", lease=LEASE)
    assert network.lost_answers == 1
    assert started is not None
    assert (started["status"], started["attempt"]) == ("processing", 1)


def test_a_finish_of_a_group_is_looked_at_before_it_is_called_stale(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """The driver sends it again, and then it matches nothing."""
    insert(repository, status="processing", fence=3, attempt=1, lease=a_lease())
    writer = GroupWriter(distant)
    network.lose_answer_to(b"completed")
    assert writer.finish(complete(distant), HOLD) is True
    writer.close()
    assert network.lost_answers == 1
    [attempt] = repository.find_context("ctx_1")["attempts"]
    assert attempt["token"] == "token_1"


def test_the_fate_of_a_write_is_read_from_the_document(
    repository: MongoContextRepository,
) -> None:
    """Held before it, applied after it, lost once somebody else has the context."""
    insert(repository, status="processing", fence=3, attempt=1, lease=a_lease())
    assert repository.fate(HOLD) is Fate.HELD
    repository.write_back(complete(repository))
    assert repository.fate(HOLD) is Fate.APPLIED
    repository.contexts.update_one(
        {"_id": "ctx_1"}, {"$set": {"fence": 4, "attempts": [], "status": "queued"}}
    )
    assert repository.fate(HOLD) is Fate.LOST
    repository.contexts.delete_one({"_id": "ctx_1"})
    assert repository.fate(HOLD) is Fate.LOST


def test_a_lead_that_was_taken_is_kept_at_the_next_step(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """Whatever the lost answer was, the owner finds itself in the lock."""
    network.lose_answer_to(b"agent_locks")
    distant.lead("bridge:1", LEASE)
    assert network.lost_answers == 1
    assert distant.lead("bridge:1", LEASE) is Lead.LEADS
    assert repository.lead("bridge:2", LEASE) is Lead.FOLLOWS


def test_an_inserted_context_is_inserted_once(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """Its id is ours, so that a second try is noticed."""
    network.lose_answer_to(b"ctx_1")
    with suppress(AlreadyStored):
        distant.insert_contexts([a_context(_id="ctx_1")])
    assert network.lost_answers == 1
    assert repository.contexts.count_documents({}) == 1
