"""The leader lease on a real server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from agent.store.locks import Lead
from agent.store.mongo_context_repository import MongoContextRepository
from tests.waiting import wait_until

LEASE = timedelta(seconds=10)
INSTANT = timedelta(milliseconds=50)


def owner_of(repository: MongoContextRepository) -> str | None:
    leader = repository.leader()
    return None if leader is None else str(leader["owner"])


def test_the_first_that_asks_leads(repository: MongoContextRepository) -> None:
    """The others follow, for as long as it keeps asking."""
    assert repository.leader() is None
    assert repository.lead("bridge:1", LEASE) is Lead.BEGAN
    assert repository.lead("bridge:2", LEASE) is Lead.FOLLOWS
    assert repository.lead("bridge:1", LEASE) is Lead.LEADS
    assert owner_of(repository) == "bridge:1"


def test_a_lead_that_is_not_kept_is_taken_over(repository: MongoContextRepository) -> None:
    """By one of the others, who knows that the last leader fell silent."""
    repository.lead("bridge:1", INSTANT)
    wait_until(lambda: repository.leader() is None)
    assert repository.lead("bridge:2", LEASE) is Lead.TOOK_OVER
    assert repository.lead("bridge:1", LEASE) is Lead.FOLLOWS
    assert owner_of(repository) == "bridge:2"


def test_a_lead_that_ran_out_unnoticed_is_still_its_owners(
    repository: MongoContextRepository,
) -> None:
    """Nobody took it meanwhile."""
    repository.lead("bridge:1", INSTANT)
    wait_until(lambda: repository.leader() is None)
    assert repository.lead("bridge:1", LEASE) is Lead.LEADS
    assert owner_of(repository) == "bridge:1"


def test_a_lead_that_was_given_up_begins_anew(repository: MongoContextRepository) -> None:
    """At once, and not as after a silence; only its owner gives it up."""
    repository.lead("bridge:1", LEASE)
    repository.give_up_lead("bridge:2")
    assert owner_of(repository) == "bridge:1"
    repository.give_up_lead("bridge:1")
    assert repository.leader() is None
    assert repository.lead("bridge:2", LEASE) is Lead.BEGAN


def test_one_of_many_leads(repository: MongoContextRepository) -> None:
    """Whether there was no leader, or one whose lease has run out."""
    for beginning in (Lead.BEGAN, Lead.TOOK_OVER):
        together = threading.Barrier(6)

        def ask(number: int, together: threading.Barrier = together) -> Lead:
            together.wait(10)
            return repository.lead(f"bridge:{number}", LEASE)

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(ask, range(6)))
        assert answers.count(beginning) == 1
        assert answers.count(Lead.FOLLOWS) == 5
        silent = {"owner": "another", "expires_at": repository.now()}
        repository.database["agent_locks"].update_one({}, {"$set": silent})
