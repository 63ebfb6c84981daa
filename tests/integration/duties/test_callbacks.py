"""One delivery for each end of what somebody asked for with a `callback_url`, whoever dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from agent.duties.callbacks import Callbacks, SettleAndTell, settle_of
from agent.duties.settle import Settle
from agent.models import AttemptRecord, Document, ErrorRecord, RequestData, Template, new_id
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection
from tests.factories import LONG_AGO, a_lease, foreign
from tests.integration.duties.requests import CHAIN, LEASE, Requests
from tests.receiver import SECRET

URL = "https://hooks.example/agent"
ERROR = ErrorRecord(type="X", message="x")
HOUR = timedelta(hours=1)

Ask = Callable[[MongoContextRepository, str], object]


@pytest.fixture
def quick_settings(settings: Settings) -> Settings:
    """Callbacks to one host."""
    return settings.model_copy(
        update={"webhook_hosts": ("hooks.example",), "webhook_secret": SecretStr(SECRET)}
    )


@pytest.fixture
def requests(repository: MongoContextRepository) -> Requests:
    repository.create_indexes()
    found = Requests(repository)
    found.settle = settle_of(repository)
    return found


def submit(requests: Requests, **options: Any) -> str:
    """A request of one step; the id of its context."""
    context = requests.manager.create_service_context(
        Template(id="t", service_type="ANALYSIS"),
        RequestData(id=new_id("req"), data={"secret": "payload"}),
        callback_url=URL,
        **options,
    )
    return str(context.id)


def end(requests: Requests, context_id: str, **how: Any) -> None:
    """Have a context carried out."""
    [claim] = requests.repository.claim("ANALYSIS", calls=1, lease=LEASE, owner="bridge:1")
    assert claim.context_id == context_id
    assert requests.end(requests.start(claim), **how)


def deliveries(requests: Requests) -> list[Document]:
    found = requests.repository.contexts.find({"service_type": "WEBHOOK"}).sort("_id", 1)
    return list(found)


def told(requests: Requests) -> list[tuple[str, str]]:
    """The id and the event of each delivery."""
    return [(each["_id"], each["callback"]["type"]) for each in deliveries(requests)]


def overdue(repository: MongoContextRepository, context_id: str) -> None:
    assert repository.expire([context_id]) == 1


def lost(repository: MongoContextRepository, context_id: str) -> None:
    fields = {"status": "processing", "lease": a_lease(), "fence": 3}
    repository.contexts.update_one({"_id": context_id}, {"$set": fields})
    [document] = repository.expired_leases()
    attempt = AttemptRecord(number=1, outcome="lost")
    assert repository.rescue_fail(document, error=ERROR, attempt=attempt)


WAYS: dict[str, tuple[str, Ask]] = {
    "cancelled": ("cancelled", lambda r, each: r.cancel(each)),
    "cancelled with others": ("cancelled", lambda r, _: r.cancel_matching(Selection())),
    "its deadline passed": ("failed", overdue),
    "its worker vanished": ("failed", lost),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_ends_a_request_is_told(requests: Requests, way: str) -> None:
    """Also where no worker comes to it."""
    status, ask = WAYS[way]
    context_id = submit(requests)
    requests.repository.contexts.update_one(
        {"_id": context_id}, {"$set": {"deadline_at": LONG_AGO}}
    )
    ask(requests.repository, context_id)
    requests.settle.run()
    assert told(requests) == [(f"callback_{context_id}_1", f"request.{status}")]


@pytest.mark.parametrize(("fails", "status"), [(False, "completed"), (True, "failed")])
def test_a_delivery_is_a_context_of_its_own(requests: Requests, fails: bool, status: str) -> None:
    """It knows whose end it tells and where to; nothing of what the request is about."""
    context_id = submit(requests)
    requests.settle.run()
    assert deliveries(requests) == []
    end(requests, context_id, fails=fails, results={"text": "payload"})
    requests.settle.run()
    [delivery] = deliveries(requests)
    request = requests.repository.find_context(context_id)
    assert delivery["callback"] == {
        "of": context_id, "url": URL, "type": f"request.{status}",
        "ended_at": request["completed_at"],
    }  # fmt: skip
    assert (delivery["status"], delivery["tags"]) == ("pending", {"request": context_id})
    assert "payload" not in str(delivery)
    assert SECRET not in str([*requests.repository.contexts.find()])
    assert request["callbacks"] == {"ends": 1}
    assert "callbacks" not in delivery


def test_a_request_of_several_steps_is_told_once_as_a_whole(requests: Requests) -> None:
    """Its steps are nobody else's business."""
    parent_id = requests.create(CHAIN, callback_url=URL)
    for key in CHAIN:
        requests.finish(parent_id, key)
    requests.settle.run()
    assert told(requests) == [(f"callback_{parent_id}_1", "request.completed")]


def test_a_whole_that_is_tried_again_is_told_again(requests: Requests) -> None:
    """Each end by its number, which the parent counts."""
    parent_id = requests.create({"a": (), "b": ()}, callback_url=URL)
    requests.finish(parent_id, "a")
    requests.finish(parent_id, "b", fails=True)
    requests.settle.run()
    requests.repository.retry(parent_id)
    requests.finish(parent_id, "b")
    requests.settle.run()
    assert told(requests) == [
        (f"callback_{parent_id}_1", "request.failed"),
        (f"callback_{parent_id}_2", "request.completed"),
    ]


@pytest.mark.parametrize("looks", [True, False], ids=["told at once", "told late"])
def test_a_retry_leads_to_a_second_delivery(requests: Requests, looks: bool) -> None:
    """And takes away none, though nobody had looked in between."""
    context_id = submit(requests)
    end(requests, context_id, fails=True)
    if looks:
        requests.settle.run()
    requests.repository.retry(context_id)
    end(requests, context_id)
    requests.settle.run()
    assert told(requests) == [
        (f"callback_{context_id}_1", "request.failed"),
        (f"callback_{context_id}_2", "request.completed"),
    ]


def test_who_dies_amid_it_is_followed_by_another(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery is stored, the end not yet taken away: the next one stores nothing twice."""
    context_id = submit(requests)
    end(requests, context_id)
    with monkeypatch.context() as patch:
        patch.setattr(requests.repository, "write_each", lambda _writes: 0)
        requests.settle.run()
    assert requests.repository.find_context(context_id)["callbacks"]["due"]
    requests.settle.run()
    assert told(requests) == [(f"callback_{context_id}_1", "request.completed")]
    assert requests.repository.untold_ends() == []


def test_an_end_that_comes_while_another_is_told_is_not_lost(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is taken away, and no more."""
    context_id = submit(requests)
    end(requests, context_id, fails=True)
    insert = requests.repository.insert_missing

    def meanwhile(documents: list[Document]) -> None:
        monkeypatch.setattr(requests.repository, "insert_missing", insert)
        requests.repository.retry(context_id)
        requests.repository.cancel(context_id)
        insert(documents)

    monkeypatch.setattr(requests.repository, "insert_missing", meanwhile)
    requests.settle.run()
    requests.settle.run()
    assert told(requests) == [
        (f"callback_{context_id}_1", "request.failed"),
        (f"callback_{context_id}_2", "request.cancelled"),
    ]


def test_many_settlers_at_once_store_one_delivery_for_each_end(
    requests: Requests, quick_settings: Settings
) -> None:
    """Each with a connection of its own, all at the same moment."""
    ids = [submit(requests) for _ in range(40)]
    for context_id in ids:
        requests.repository.cancel(context_id)
    ready = threading.Barrier(4)
    failures: list[BaseException] = []

    def settle() -> None:
        repository = MongoContextRepository.connect(quick_settings)
        try:
            settler = settle_of(repository)
            ready.wait(30)
            settler.run()
        except BaseException as exc:
            failures.append(exc)
        finally:
            repository.close()

    threads = [threading.Thread(target=settle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    requests.settle.run()
    assert told(requests) == [(f"callback_{each}_1", "request.cancelled") for each in sorted(ids)]
    assert requests.repository.untold_ends() == []


def test_the_end_of_a_delivery_is_told_to_nobody(requests: Requests) -> None:
    """Or there would be no end of it."""
    submit(requests)
    requests.repository.cancel_matching(Selection())
    requests.settle.run()
    requests.repository.cancel_matching(Selection(service_type="WEBHOOK"))
    requests.settle.run()
    assert [each["status"] for each in deliveries(requests)] == ["cancelled"]


def test_fields_of_other_programs_are_left_alone(requests: Requests) -> None:
    """Whatever they mean by these names."""
    fields = {"callback_url": URL, "callbacks": [{"at": LONG_AGO}]}
    [document_id] = requests.repository.contexts.insert_many(
        [foreign(_id="theirs", **fields)]
    ).inserted_ids
    requests.repository.cancel(document_id)
    requests.settle.run()
    found = requests.repository.find_context("theirs")
    assert {name: found[name] for name in fields} == fields
    assert deliveries(requests) == []


def test_without_hosts_nothing_is_asked(settings: Settings) -> None:
    """An installation without webhooks pays for none."""
    repository = MongoContextRepository.connect(settings)
    try:
        assert type(settle_of(repository)) is Settle
    finally:
        repository.close()


def test_a_delivery_has_the_limits_of_its_own_service(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`WEBHOOK_BASE_MAX_ATTEMPTS`, as for any other service."""
    monkeypatch.setenv("WEBHOOK_BASE_MAX_ATTEMPTS", "3")
    submit(requests)
    requests.repository.cancel_matching(Selection())
    assert Callbacks(requests.repository).run() == 1
    assert isinstance(requests.settle, SettleAndTell)
    assert [each["max_attempts"] for each in deliveries(requests)] == [3]
