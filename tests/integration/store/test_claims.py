"""Claims on a real server: which contexts are taken, in which order, by whom, and only once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Int64, ObjectId
from pydantic import SecretStr

from agent.embedded.ports import free_port
from agent.models import Claim, Document, Status
from agent.settings import Settings
from agent.store import claims
from agent.store.claims import InFlight
from agent.store.connection import CODEC
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_context, a_lease, foreign

LEASE = timedelta(seconds=90)
MINUTE = timedelta(minutes=1)


def insert(repository: MongoContextRepository, *documents: Document) -> list[Any]:
    repository.contexts.insert_many(documents)
    return [document["_id"] for document in documents]


def claim(repository: MongoContextRepository, **wanted: Any) -> list[Claim]:
    given: dict[str, Any] = {"calls": 100, "lease": LEASE, "owner": "bridge:1", **wanted}
    return repository.claim("GENERATIVE", **given)


def ids_of(claims: list[Claim]) -> list[Any]:
    return [claim.context_id for claim in claims]


def as_bson(value: Any) -> bytes:
    """What tells two values apart: `1`, `1.0` and `True` are equal in Python."""
    return bson.encode({"": value}, codec_options=CODEC)


def accepted(**overrides: Any) -> Document:
    """A context whose work the service has accepted: it is to be asked for."""
    remote = {"status_url": "http://base.example/1", "accepted_at": LONG_AGO, "polls": 1}
    return a_context(**{"remote": remote, "attempt": 1, **overrides})


def test_the_first_by_priority_and_then_by_age_are_taken(
    repository: MongoContextRepository,
) -> None:
    """In this order they are enqueued."""
    shuffled = [(5, 2), (1, 3), (10, 0), (5, 1), (1, 4)]
    insert(
        repository,
        *(
            a_context(_id=f"{priority}/{minute}", priority=priority,
                      available_at=LONG_AGO + minute * MINUTE)
            for priority, minute in shuffled
        ),
    )  # fmt: skip
    assert ids_of(claim(repository, calls=4)) == ["1/3", "1/4", "5/1", "5/2"]
    assert ids_of(claim(repository, calls=4)) == ["10/0"]


def test_by_age_the_last_priority_is_not_starved(repository: MongoContextRepository) -> None:
    """The oldest goes first, whatever its priority."""
    insert(
        repository,
        a_context(_id="urgent", priority=1, available_at=LONG_AGO + MINUTE),
        a_context(_id="patient", priority=10),
    )
    assert ids_of(claim(repository, calls=1, by_age=True)) == ["patient"]


def test_a_claim_raises_the_fence_and_gives_a_lease(repository: MongoContextRepository) -> None:
    """By the database's clock, for as long as was asked; the claim id proves whose it is."""
    [context_id] = insert(repository, a_context(fence=6, wait_reason=None))
    [taken] = claim(repository)
    document = repository.find_context(context_id)
    assert taken == Claim(context_id, 7, document["lease"]["claim_id"])
    assert (document["status"], document["fence"]) == ("queued", 7)
    assert (document["lease"]["owner"], document["lease"]["token"]) == ("bridge:1", None)
    assert abs(document["lease"]["expires_at"] - repository.now() - LEASE) < timedelta(seconds=5)


def test_nothing_wanted_is_nothing_asked() -> None:
    """Not even whether the server is there."""
    nowhere = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=1"
    repository = MongoContextRepository.connect(Settings(mongodb_uri=SecretStr(nowhere)))
    try:
        assert repository.claim("ANALYSIS", calls=0, lease=LEASE, owner="b") == []
    finally:
        repository.close()


def test_only_what_is_due_adopted_and_of_its_service_is_taken(
    repository: MongoContextRepository,
) -> None:
    """And only while it is pending."""
    later = repository.now() + MINUTE
    insert(
        repository,
        a_context(_id="later", priority=1, available_at=later),
        a_context(_id="elsewhere", service_type="ANALYSIS"),
        a_context(_id="cancelled", status="cancelled"),
        a_context(_id="scheduled", status="scheduled"),
        foreign(_id="foreign", service_type="GENERATIVE", priority=1, available_at=LONG_AGO),
        foreign(_id="odd", service_type="GENERATIVE", fence=-1, available_at=LONG_AGO),
        a_context(_id="right", priority=10),
    )
    assert ids_of(claim(repository)) == ["right"]


def test_what_may_not_be_claimed_holds_up_nothing_behind_it(
    repository: MongoContextRepository,
) -> None:
    """However many of them come first in the order of the index."""
    insert(
        repository,
        *(foreign(service_type="GENERATIVE", priority=1) for _ in range(30)),
        a_context(_id="right", priority=10),
    )
    assert ids_of(claim(repository, calls=1)) == ["right"]


def test_a_context_is_avoided_where_there_is_another(repository: MongoContextRepository) -> None:
    """A probe is to be another one than the one that led to the pause."""
    insert(repository, a_context(_id="first", priority=1), a_context(_id="second"))
    assert ids_of(claim(repository, calls=1, avoid="first")) == ["second"]
    assert ids_of(claim(repository, calls=1, avoid="first")) == ["first"]


def test_an_accepted_context_is_avoided_too(repository: MongoContextRepository) -> None:
    """Though polls go first."""
    insert(repository, accepted(_id="poll"), a_context(_id="call"))
    given: dict[str, Any] = {"calls": 1, "polls": 1, "most": 1, "avoid": "poll"}
    assert ids_of(claim(repository, **given)) == ["call"]
    assert ids_of(claim(repository, **given)) == ["poll"]


def test_polls_and_calls_have_room_of_their_own(repository: MongoContextRepository) -> None:
    """Polls go first, and their claims say what they are."""
    insert(repository, *(a_context(_id=f"call{n}", priority=1) for n in range(3)),
           *(accepted(_id=f"poll{n}") for n in range(3)))  # fmt: skip
    taken = claim(repository, calls=2, polls=1)
    assert [(each.context_id, each.polls) for each in taken] == [
        ("poll0", True), ("call0", False), ("call1", False)
    ]  # fmt: skip
    assert ids_of(claim(repository, calls=0, polls=9)) == ["poll1", "poll2"]
    assert ids_of(claim(repository, calls=9, polls=0)) == ["call2"]


@pytest.mark.parametrize(("most", "taken"), [(1, ["poll"]), (2, ["poll", "call0"]), (0, [])])
def test_both_together_have_a_limit(
    repository: MongoContextRepository, most: int, taken: list[str]
) -> None:
    """Threads do both."""
    insert(repository, a_context(_id="call0"), a_context(_id="call1"), accepted(_id="poll"))
    assert ids_of(claim(repository, calls=9, polls=9, most=most)) == taken


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("calls", [0, 2])
def test_accepted_work_is_asked_for_behind_any_backlog(
    repository: MongoContextRepository, calls: int, indexed: bool
) -> None:
    """A service that is full of accepted work gets no calls: its polls must not wait for them."""
    if indexed:
        repository.create_indexes()
    insert(repository, *(a_context(priority=1) for _ in range(40)), accepted(_id="poll"))
    taken = claim(repository, calls=calls, polls=3)
    assert ids_of(taken)[0] == "poll"
    assert len(taken) == calls + 1


@pytest.mark.parametrize(
    "context_id",
    [
        "ctx_1",
        "",
        ObjectId(),
        UUID("12345678-1234-5678-1234-567812345678"),
        7,
        Int64(2**60),
        1.5,
        True,
        b"\x00\xff",
        datetime(2025, 3, 1, tzinfo=UTC),
        {"tenant": "a", "number": 1},
        {"number": 1, "tenant": {"a": ObjectId()}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_id_of_any_kind_comes_back_as_it_is(
    repository: MongoContextRepository, context_id: Any
) -> None:
    """In value, type and order of fields."""
    document = {**a_context(), "_id": context_id}
    insert(repository, document, a_context(_id="other"))
    taken = [as_bson(each.context_id) for each in claim(repository)]
    assert sorted(taken) == sorted([as_bson(context_id), as_bson("other")])


def test_two_threads_never_take_a_context_at_one_fence(
    repository: MongoContextRepository,
) -> None:
    """Whoever claims at the same time shares with the others what there is."""
    insert(repository, *(a_context() for _ in range(120)))
    together = threading.Barrier(4)

    def take_all(owner: int) -> list[Claim]:
        together.wait(10)
        taken: list[Claim] = []
        while batch := claim(repository, calls=7, owner=f"bridge:{owner}"):
            taken += batch
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [each for batch in pool.map(take_all, range(4)) for each in batch]
    counts = Counter((each.context_id, each.fence) for each in taken)
    assert set(counts.values()) == {1}
    left = repository.contexts.count_documents({"status": "pending"})
    assert len(counts) + left == 120
    assert repository.contexts.distinct("fence", {"status": "queued"}) == [1]


def test_a_claim_reads_no_more_than_it_must(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog of what may not be claimed is looked at so far and no further."""
    monkeypatch.setattr(claims, "DEEPEST_LOOK", 16)
    insert(repository, *(foreign(service_type="GENERATIVE", priority=1) for _ in range(30)),
           a_context(_id="right", priority=10))  # fmt: skip
    assert claim(repository, calls=1) == []


# What is in flight


def test_what_the_broker_should_hold_is_told(repository: MongoContextRepository) -> None:
    """Each queued context with its claim; one without a lease has no message."""
    insert(
        repository,
        a_context(_id="a", status="queued", fence=2, lease=a_lease(claim_id="claim_a")),
        a_context(_id="b", status="queued", fence=3, service_type="ANALYSIS",
                  lease=a_lease(claim_id="poll_b")),
        a_context(_id="c", status="processing", lease=a_lease()),
        a_context(_id="d", status="queued"),
        {**a_context(_id="e", status="queued"), "lease": {"claim_id": 7}},
    )  # fmt: skip
    assert sorted(repository.queued()) == [
        ("ANALYSIS", Claim("b", 3, "poll_b")),
        ("GENERATIVE", Claim("a", 2, "claim_a")),
    ]


def test_all_that_is_in_flight_is_counted_in_one_question(
    repository: MongoContextRepository,
) -> None:
    """By service, status, owner, and whether it only polls."""
    insert(
        repository,
        a_context(status="queued", lease=a_lease(owner="b")),
        a_context(status="queued", lease=a_lease(owner="b")),
        a_context(status="processing", lease=a_lease(owner="w")),
        accepted(status="processing", lease=a_lease(owner="w")),
        a_context(status="processing", service_type="ANALYSIS"),
        a_context(status="pending"),
        a_context(status="completed"),
    )
    assert set(repository.in_flight()) == {
        InFlight("GENERATIVE", Status.QUEUED, "b", False, 2),
        InFlight("GENERATIVE", Status.PROCESSING, "w", False, 1),
        InFlight("GENERATIVE", Status.PROCESSING, "w", True, 1),
        InFlight("ANALYSIS", Status.PROCESSING, None, False, 1),
    }


@pytest.mark.parametrize("indexed", [True, False])
def test_accepted_work_is_counted_by_service(
    repository: MongoContextRepository, indexed: bool
) -> None:
    """Whatever its status; with its index, and where that is missing."""
    if indexed:
        repository.create_indexes()
    insert(
        repository,
        accepted(status="scheduled"),
        accepted(status="processing", lease=a_lease()),
        accepted(service_type="ANALYSIS"),
        a_context(),
    )
    assert repository.count_remote() == {"GENERATIVE": 2, "ANALYSIS": 1}
