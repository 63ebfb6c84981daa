"""How the rows of a batch become its items, whoever dies, and what becomes of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Barrier, Thread
from typing import Any

import pytest

from agent.duties.expand import Expand
from agent.errors import IdempotencyKeyReused, RequestInvalid, StoreUnavailable
from agent.intake import batches
from agent.intake.batch import Rejected, Row
from agent.models import Document
from tests.integration.duties.batches import CAMPAIGN, GREETING, PEOPLE, Campaigns
from tests.integration.duties.requests import Requests

ALL = "completed"


@pytest.fixture
def campaigns(requests: Requests) -> Campaigns:
    return Campaigns(requests)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows in each."""
    monkeypatch.setattr(batches, "ROWS_IN_CHUNK", 2)


def test_each_row_becomes_an_item_and_all_of_them_end_the_batch(campaigns: Campaigns) -> None:
    """Its ids, its data and its user come from its row; progress is exact at the end."""
    created = campaigns.ask(data={"shop": "Kiosk"})
    assert (created.total, created.rejected_count, created.existing) == (3, 0, False)
    campaigns.run()
    items = campaigns.items(created.id)
    assert [item["_id"] for item in items] == [f"{created.id}_000000{row}" for row in (1, 2, 3)]
    assert items[0]["request"]["data"] == {"shop": "Kiosk", **PEOPLE[0]}
    assert [item["request"]["user_id"] for item in items] == ["user:1", None, None]
    assert campaigns.rows_left() == 0
    assert campaigns.carry_out(failing=("Bob",)) == 3
    batch = campaigns.repository.find_batch(created.id)
    assert (batch["status"], batch["error"]["message"]) == ("failed", "1 of 3 failed")
    assert batch["results"]["progress"] == {
        "total": 3, "processed": 3, "succeeded": 2, "failed": 1, "cancelled": 0,
        "percentage": 100.0,
    }  # fmt: skip
    campaigns.repository.retry(created.id)
    campaigns.run()
    assert campaigns.carry_out() == 1
    assert campaigns.requests.status(created.id) == ALL


def test_items_of_several_steps_are_requests_of_their_own(campaigns: Campaigns) -> None:
    """The batch counts them, and a step that fails is one item that fails."""
    created = campaigns.ask(template=CAMPAIGN)
    campaigns.run()
    assert campaigns.carry_out("GENERATIVE", failing=("Bob",)) == 3
    assert campaigns.carry_out("COMMUNICATION") == 2
    batch = campaigns.repository.find_batch(created.id)
    assert (batch["status"], batch["results"]["progress"]["failed"]) == ("failed", 1)
    assert campaigns.items(created.id)[0]["results"] == {
        "draft": {"text": "Hi Ann"}, "send": {"text": "Hi Ann"}
    }  # fmt: skip
    campaigns.repository.retry(created.id)
    campaigns.run()
    assert campaigns.requests.status(created.id) == "processing"
    assert (campaigns.carry_out("GENERATIVE"), campaigns.carry_out("COMMUNICATION")) == (1, 1)
    assert campaigns.requests.status(created.id) == ALL


def test_a_retry_of_one_item_opens_its_batch_again(campaigns: Campaigns) -> None:
    """And its end is counted, though the batch was final."""
    created = campaigns.ask(template=CAMPAIGN)
    campaigns.run()
    campaigns.carry_out("GENERATIVE", failing=("Bob",))
    campaigns.carry_out("COMMUNICATION")
    bob = f"{created.id}_0000002"
    campaigns.repository.retry(f"{bob}_draft")
    campaigns.run()
    assert [campaigns.requests.status(each) for each in (bob, created.id)] == ["processing"] * 2
    campaigns.carry_out("GENERATIVE")
    campaigns.carry_out("COMMUNICATION")
    assert [campaigns.requests.status(each) for each in (bob, created.id)] == [ALL] * 2
    assert campaigns.requests.progress(created.id)["succeeded"] == 3


@pytest.mark.parametrize("template", [GREETING, CAMPAIGN], ids=["one step", "several steps"])
@pytest.mark.usefixtures("small_chunks")
def test_what_is_cancelled_while_it_is_expanded_does_nothing_and_can_be_begun_anew(
    campaigns: Campaigns, template: dict[str, Any]
) -> None:
    """The rows that were no items yet are there, cancelled: the whole is complete all the same."""
    created = campaigns.ask(template=template)
    [batch] = campaigns.repository.expanding_batches(5)
    campaigns.expand._expand(batch)
    campaigns.repository.cancel(created.id)
    campaigns.run()
    batch = campaigns.repository.find_batch(created.id)
    assert (batch["status"], batch["results"]["progress"]["cancelled"]) == ("cancelled", 3)
    assert campaigns.claim("GENERATIVE") == campaigns.claim("COMMUNICATION") == []
    campaigns.repository.retry(created.id)
    campaigns.run()
    assert campaigns.carry_out("GENERATIVE") == 3
    campaigns.carry_out("COMMUNICATION")
    assert campaigns.requests.status(created.id) == ALL


@pytest.mark.usefixtures("small_chunks")
def test_no_row_becomes_two_items_however_many_expand(campaigns: Campaigns) -> None:
    """Several at once, and one that comes much too late with what it read before."""
    created = campaigns.ask([{"name": f"{number}"} for number in range(20)])
    [early] = campaigns.repository.expanding_batches(1)
    start = Barrier(3)

    def expand() -> None:
        start.wait()
        Expand(campaigns.repository).run()

    threads = [Thread(target=expand) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    campaigns.make_items()
    assert len(campaigns.items(created.id)) == 20
    campaigns.repository.contexts.delete_many({"parent_id": created.id})
    late = [{"_id": f"{created.id}_0000001", "parent_id": created.id}]
    assert not campaigns.repository.store_items(early, late)
    assert campaigns.items(created.id) == []


@pytest.mark.usefixtures("small_chunks")
def test_an_expansion_that_is_interrupted_goes_on(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after the transaction of a chunk: its rows are gone with it."""
    created = campaigns.ask([{"name": f"{number}"} for number in range(6)])
    repository = campaigns.repository
    store = repository.store_items

    def stores_and_dies(batch: Document, documents: Sequence[Document]) -> bool:
        assert store(batch, documents)
        raise StoreUnavailable("MongoDB is away")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "store_items", stores_and_dies)
        with pytest.raises(StoreUnavailable):
            campaigns.expand.run()
    assert (len(campaigns.items(created.id)), campaigns.rows_left()) == (2, 2)
    campaigns.run()
    assert (len(campaigns.items(created.id)), campaigns.rows_left()) == (6, 0)
    assert repository.find_batch(created.id)["total"] == 6


def test_rows_are_kept_until_they_are_items_whoever_stored_their_batch(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who did may have died before the rows were kept for good; who sends it again does it."""
    repository, uploads = campaigns.repository, campaigns.repository.database["uploads"]

    def dies(_upload: str, _chunks: int) -> None:
        raise StoreUnavailable("MongoDB is away")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "keep_for_good", dies)
        with pytest.raises(StoreUnavailable):
            campaigns.ask(idempotency_key="monday")
    assert uploads.count_documents({"expire_at": {"$exists": True}}) == 1
    created = campaigns.ask(idempotency_key="monday")
    assert uploads.count_documents({}) == 1
    assert uploads.count_documents({"expire_at": {"$exists": True}}) == 0
    campaigns.run()
    assert len(campaigns.items(created.id)) == 3


def test_a_batch_is_not_given_up_while_it_is_expanded(campaigns: Campaigns) -> None:
    """Even if there is no bridge for hours."""
    created = campaigns.ask()
    contexts = campaigns.repository.contexts
    made = campaigns.repository.find_batch(created.id)["created_at"]
    contexts.update_one({"_id": created.id}, {"$set": {"created_at": made.replace(year=2020)}})
    campaigns.requests.run()
    assert campaigns.requests.status(created.id) == "processing"
    campaigns.run()
    assert campaigns.carry_out() == 3
    assert campaigns.requests.status(created.id) == ALL


def test_one_batch_that_cannot_be_expanded_holds_up_no_other(campaigns: Campaigns) -> None:
    """Another program has spoilt its terms, its rows are gone, an id is taken: it fails, and says
    that it was never stored as a whole."""
    spoilt, gone, taken, fine = (campaigns.ask().id for _ in range(4))
    contexts, uploads = campaigns.repository.contexts, campaigns.repository.database["uploads"]
    contexts.update_one({"_id": spoilt}, {"$set": {"batch": 7}})
    upload = campaigns.repository.find_batch(gone)["expanding"]["upload"]
    uploads.delete_many({"upload": upload})
    contexts.insert_one({"_id": f"{taken}_0000002"})
    campaigns.run()
    assert len(campaigns.items(fine)) == 3
    assert campaigns.requests.status(fine) == "processing"
    for each in (spoilt, gone, taken):
        batch = campaigns.repository.find_context(each)
        assert (batch["status"], batch["error"]["type"]) == ("failed", "IncompleteRequest")


def test_a_row_that_is_wrong_costs_only_itself(campaigns: Campaigns) -> None:
    """And is told by its number."""
    parameters = [
        {"name": "age", "type": "integer", "required": True},
        {"name": "kind", "type": "string", "default": "adult"},
    ]
    rows = [
        Row(1, {"age": "42", "note": ""}, is_text=True),
        Row(2, {"age": "old"}, is_text=True),
        Row(3, [1]),
        Row(4, {"age": 1, "text": "\ud800"}),
        Row(5, {"age": 2**70}),
        Rejected(6, "no JSON"),
        Row(7, {"age": 7, "kind": "child"}),
    ]
    created = campaigns.ask(rows=rows, template={**GREETING, "parameters": parameters})
    assert (created.total, created.rejected_count) == (2, 5)
    assert [each.row for each in created.rejected] == [2, 3, 4, 5, 6]
    assert "`data.age` is a string, not a whole number" in created.rejected[0].error
    campaigns.run()
    data = [item["request"]["data"] for item in campaigns.items(created.id)]
    assert data == [
        {"age": 42, "note": "", "kind": "adult"},
        {"age": 7, "kind": "child"},
    ]
    assert campaigns.repository.find_batch(created.id)["rejected"]["count"] == 5


@pytest.mark.parametrize("rows", [[], [Rejected(1, "no JSON")]], ids=["none", "none right"])
def test_a_batch_of_nothing_is_an_error(campaigns: Campaigns, rows: Sequence[Rejected]) -> None:
    """And leaves nothing behind."""
    with pytest.raises(RequestInvalid, match=r"no rows|row 1: no JSON"):
        campaigns.ask(rows=rows)
    assert campaigns.rows_left() == 0


def test_a_batch_comes_once_under_its_key(campaigns: Campaigns) -> None:
    """Other rows under the same key are an error; rows that are not needed are not kept."""
    first = campaigns.ask(idempotency_key="monday")
    campaigns.make_items()
    assert campaigns.ask(idempotency_key="monday") == first
    assert campaigns.rows_left() == 0
    with pytest.raises(IdempotencyKeyReused):
        campaigns.ask(PEOPLE[:2], idempotency_key="monday")
    assert campaigns.rows_left() == 0
    campaigns.repository.contexts.delete_many({})
    assert campaigns.ask(idempotency_key="monday") == first  # its time of keeping was over
    held = campaigns.ask(unique_key="newsletter")
    again = campaigns.ask(PEOPLE[:1], unique_key="newsletter")
    assert (again.id, again.existing, again.total) == (held.id, True, 3)


def test_all_rows_as_one(campaigns: Campaigns) -> None:
    """`mode: whole` makes one item that has them all."""
    created = campaigns.ask([*PEOPLE, 7], mode="whole")
    assert (created.total, created.rejected_count) == (1, 1)
    campaigns.run()
    [item] = campaigns.items(created.id)
    assert item["request"]["data"] == {"items": PEOPLE}


def test_what_all_items_say_goes_for_each(campaigns: Campaigns) -> None:
    """Its time, its limits, its tags; and a row that is urgent comes first."""
    at = campaigns.repository.now().replace(year=2099)
    created = campaigns.ask(
        [{"name": "Ann"}, {"name": "Bob", "urgent": True}],
        available_at=at, tags={"campaign": "may"}, max_attempts=2, priority=7,
    )  # fmt: skip
    campaigns.run()
    ann, bob = campaigns.items(created.id)
    assert (ann["status"], ann["available_at"].year, ann["max_attempts"]) == ("scheduled", 2099, 2)
    assert (ann["priority"], bob["priority"], ann["tags"]) == (7, 1, {"campaign": "may"})


def test_what_all_items_share_makes_chunks_smaller(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction holds so many contexts as fit, not so many rows."""
    stored: list[int] = []
    store = campaigns.repository.store_items

    def counted(batch: Document, documents: Sequence[Document]) -> bool:
        stored.append(len(documents))
        return store(batch, documents)

    monkeypatch.setattr(campaigns.repository, "store_items", counted)
    large = {**GREETING, "service_template": {"prompt": "x" * 3 * 2**20}}
    campaigns.ask(PEOPLE, template=large)
    campaigns.make_items()
    assert stored == [2, 1]
    with pytest.raises(RequestInvalid, match=r"MB without its row|items share has"):
        campaigns.ask(template={**GREETING, "service_template": {"prompt": "x" * 15 * 2**20}})


def test_children_go_with_their_batch(campaigns: Campaigns) -> None:
    """The steps of its items, too: none of them before it, and none stays."""
    created = campaigns.ask(template=CAMPAIGN)
    campaigns.run()
    contexts = campaigns.repository.contexts
    contexts.update_one({"_id": created.id}, {"$set": {"retention_seconds": 60}})
    campaigns.carry_out("GENERATIVE")
    assert contexts.count_documents({"expire_at": {"$exists": True}}) == 0
    campaigns.carry_out("COMMUNICATION")
    assert campaigns.requests.status(created.id) == ALL
    assert contexts.count_documents({"expire_at": {"$exists": True}}) == 1 + 3 + 6
    campaigns.repository.contexts.update_one(
        {"_id": f"{created.id}_0000002_send"}, {"$set": {"status": "failed"}}
    )
    campaigns.repository.retry(f"{created.id}_0000002_send")
    campaigns.run()
    assert contexts.count_documents({"expire_at": {"$exists": True}}) == 0
