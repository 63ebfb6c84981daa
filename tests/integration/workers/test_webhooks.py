"""Deliveries of webhooks, to a receiver on a real port."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from agent.duties.settle import Settle
from agent.embedded.ports import free_port
from agent.errors import ConfigurationError
from agent.intake.callbacks import delivery_of
from agent.models import Document, RequestData, Template
from agent.rendering import iso
from agent.settings import Settings
from agent.store.ends import End
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.call import Attempt
from agent.workers.quarantine import carry_out_alone
from agent.workers.webhook_worker import WebhookWorker
from tests.factories import LONG_AGO, a_context
from tests.integration.duties.requests import Requests
from tests.integration.workers.stage import Process, attempts_of, pause_of, process
from tests.receiver import KEY, SECRET, Answer, Receiver, receiver
from tests.waiting import wait_until

OTHER_KEY = b"k" * 64
TWO_SECRETS = f"{SECRET} whsec_{base64.b64encode(OTHER_KEY).decode()}"
RESULTS = {"success": True, "text": "Hello Ann"}


@dataclass
class Stage:
    """A process that delivers, and who is called back."""

    receiver: Receiver
    process: Process

    @property
    def repository(self) -> MongoContextRepository:
        return self.process.repository

    def ended(self, **fields: Any) -> str:
        """A request that is completed, and its delivery, which is stored; the id of that."""
        request = a_context(
            **{"_id": "ctx_1", "status": "completed", "results": RESULTS,
               "completed_at": LONG_AGO, "callback_url": self.receiver.url,
               "callbacks": {"ends": 1}, **fields}
        )  # fmt: skip
        self.repository.insert_contexts([request])
        return self.deliver(request)

    def deliver(self, request: Document, number: int = 1) -> str:
        end = End(number, request["status"], request["completed_at"])
        delivery = delivery_of(request, end, self.repository.now(), max_attempts=3)
        self.repository.insert_contexts([delivery])
        return str(delivery["_id"])

    def try_again(self, delivery_id: str) -> None:
        """What waits for its time does not wait any longer."""
        self.repository.run_now(delivery_id)
        self.process.carry()


@pytest.fixture
def quick_settings(quick_settings: Settings) -> Settings:
    """With two secrets: that of today and that of tomorrow."""
    return quick_settings.model_copy(update={"webhook_secret": SecretStr(TWO_SECRETS)})


@contextmanager
def stage(
    repository: MongoContextRepository, *answers: Answer, also: tuple[str, ...] = ()
) -> Iterator[Stage]:
    """A receiver with these answers is on the list of hosts, and others may be, too."""
    with receiver(*answers) as found:
        hosts = {"webhook_hosts": (found.host, *also)}
        repository.settings = repository.settings.model_copy(update=hosts)
        worker = WebhookWorker(repository, settings=repository.settings)
        worker.check()
        with process(repository, worker) as running:
            yield Stage(found, running)


def test_a_receiver_knows_what_is_ours(repository: MongoContextRepository) -> None:
    """Signed with each secret, over the very bytes, under the id of the delivery."""
    with stage(repository, 204) as found:
        delivery_id = found.ended()
        found.process.carry()
        [delivery] = found.receiver.deliveries
        document = found.process.document(delivery_id)
    assert (delivery.path, delivery.id) == ("/hook?for=ann", delivery_id)
    assert delivery.is_signed_with(KEY)
    assert delivery.is_signed_with(OTHER_KEY)
    assert not delivery.is_signed_with(b"of somebody else")
    assert delivery.headers["content-type"] == "application/json"
    age = abs(repository.now().timestamp() - int(delivery.headers["webhook-timestamp"]))
    assert age < 300
    assert not {"authorization", "idempotency-key"} & set(delivery.headers)
    assert (document["status"], document["results"]) == ("completed", {"status_code": 204})


def test_the_message_is_what_whoever_asks_is_answered(repository: MongoContextRepository) -> None:
    """The event, its time, and the request as the API tells of it, results included."""
    with stage(repository) as found:
        found.ended()
        found.process.carry()
        [delivery] = found.receiver.deliveries
    message = delivery.message
    assert set(message) == {"type", "timestamp", "data"}
    assert (message["type"], message["timestamp"]) == ("request.completed", iso(LONG_AGO))
    assert (message["data"]["id"], message["data"]["status"]) == ("ctx_1", "completed")
    assert message["data"]["results"] == RESULTS
    assert "callback_url" not in message["data"]


def test_of_several_steps_each_is_told(repository: MongoContextRepository) -> None:
    """With what each brought, by its key."""
    requests = Requests(repository)
    with stage(repository) as found:
        parent_id = requests.create({"a": (), "b": ("a",)}, callback_url=found.receiver.url)
        requests.finish(parent_id, "a", "b")
        Settle(repository).run()
        found.deliver(repository.find_context(parent_id))
        found.process.carry()
        data = found.receiver.deliveries[0].message["data"]
    assert [(step["key"], step["status"]) for step in data["steps"]] == [
        ("a", "completed"), ("b", "completed"),
    ]  # fmt: skip
    assert data["results"] == {"a": {"by": "a"}, "b": {"by": "b"}}
    assert data["progress"]["percentage"] == 100.0


def test_of_a_batch_its_progress_is_told(repository: MongoContextRepository) -> None:
    """Under a name of its own; its items are asked for."""
    progress = {"total": 2, "processed": 2, "succeeded": 1, "failed": 1, "percentage": 100.0}
    with stage(repository) as found:
        found.ended(
            kind="parent", service_type="BATCH", status="failed", results={"progress": progress}
        )
        found.process.carry()
        message = found.receiver.deliveries[0].message
    assert message["type"] == "batch.failed"
    assert progress.items() <= message["data"]["progress"].items()
    assert not {"results", "steps"} & set(message["data"])


def test_results_that_are_too_large_are_left_out(repository: MongoContextRepository) -> None:
    """Whoever is told asks for them; the rest comes all the same."""
    with stage(repository) as found:
        found.ended(results={"text": "x" * 1024 * 1024})
        found.process.carry()
        [delivery] = found.receiver.deliveries
    assert len(delivery.payload) < 10_000
    data = delivery.message["data"]
    assert (data["status"], data["results"], data["results_omitted"]) == ("completed", None, True)


@pytest.mark.parametrize("status", [500, 503, 429, 408, 400, 401, 403, 404])
def test_any_other_answer_is_tried_again(repository: MongoContextRepository, status: int) -> None:
    """Under the same id, signed anew, and without a pause for whom others call back."""
    with stage(repository, status, 200) as found:
        delivery_id = found.ended()
        found.process.carry()
        waiting = found.process.document(delivery_id)
        found.try_again(delivery_id)
        first, second = found.receiver.deliveries
        document = found.process.document(delivery_id)
        pause = pause_of(found.process)
    assert (waiting["status"], waiting["wait_reason"]) == ("scheduled", "retry")
    assert waiting["attempts"][0]["error"]["type"] == "CallbackRefused"
    assert first.id == second.id == delivery_id
    assert first.payload == second.payload
    assert second.is_signed_with(KEY)
    assert (document["status"], attempts_of(document)) == ("completed", ["retry", "completed"])
    assert pause is None


def test_a_receiver_says_when_to_come_again(repository: MongoContextRepository) -> None:
    """For itself, and nobody else waits for it."""
    with stage(repository, (503, {"Retry-After": "120"})) as found:
        delivery_id = found.ended()
        found.process.carry()
        document = found.process.document(delivery_id)
        pause = pause_of(found.process)
    left = document["available_at"] - repository.now()
    assert timedelta(seconds=60) < left <= timedelta(seconds=120)
    assert pause is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (410, "CallbackRefused"),
        ((302, {"Location": "http://127.0.0.1:1/elsewhere"}), "UnexpectedRedirect"),
        ((307, {"Location": "/hook"}), "UnexpectedRedirect"),
    ],
)
def test_what_ends_a_delivery_for_good(
    repository: MongoContextRepository, answer: Answer, error: str
) -> None:
    """The receiver is gone, or somewhere else, where nobody is followed to."""
    with stage(repository, answer) as found:
        delivery_id = found.ended()
        found.process.carry()
        document = found.process.document(delivery_id)
        assert len(found.receiver.deliveries) == 1
    assert (document["status"], document["error"]["type"]) == ("failed", error)


def test_the_last_attempt_fails_and_an_operator_may_try_again(
    repository: MongoContextRepository,
) -> None:
    """As any context does, and is; the receiver sees the same id."""
    with stage(repository, 500, 500, 500, 200) as found:
        delivery_id = found.ended()
        found.process.carry()
        found.try_again(delivery_id)
        found.try_again(delivery_id)
        assert found.process.document(delivery_id)["status"] == "failed"
        found.repository.retry(delivery_id)
        found.process.carry()
        assert found.process.document(delivery_id)["status"] == "completed"
        assert {each.id for each in found.receiver.deliveries} == {delivery_id}


def test_a_receiver_that_is_away_is_no_fault_of_the_service(
    repository: MongoContextRepository,
) -> None:
    """It is tried again, and the breaker does not count it against the others."""
    nobody = f"127.0.0.1:{free_port()}"
    with stage(repository, also=(nobody,)) as found:
        delivery_id = found.ended(callback_url=f"http://{nobody}/")
        found.process.carry()
        document = found.process.document(delivery_id)
    assert document["status"] == "scheduled"
    assert document["attempts"][0]["error"]["type"] == "ReceiverUnavailable"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://taken-off.example/hook", "no host of AGENT_WEBHOOK_HOSTS"),
        ("http://169.254.169.254/latest/meta-data", "https"),
        (None, "must be a URL"),
    ],
)
def test_a_url_is_looked_at_again_before_it_is_called(
    repository: MongoContextRepository, url: Any, why: str
) -> None:
    """Hosts are taken off the list, and other programs write to the database."""
    with stage(repository) as found:
        delivery_id = found.ended(callback_url=url)
        found.process.carry()
        document = found.process.document(delivery_id)
        assert found.receiver.calls == 0
    assert (document["status"], document["error"]["type"]) == ("failed", "RequestNotSendable")
    assert why in document["error"]["message"]


def test_of_a_request_that_is_gone_nothing_is_told(repository: MongoContextRepository) -> None:
    """It was kept for a shorter time than its receiver was away."""
    with stage(repository) as found:
        delivery_id = found.ended()
        found.repository.contexts.delete_one({"_id": "ctx_1"})
        found.process.carry()
        document = found.process.document(delivery_id)
        assert found.receiver.calls == 0
    assert document["status"] == "failed"
    assert "not there any more" in document["error"]["message"]


def test_a_context_that_is_no_delivery_is_refused(repository: MongoContextRepository) -> None:
    """A template may name this service as any other; nothing is sent for it."""
    with stage(repository) as found:
        found.process.insert("ctx_2")
        found.process.carry()
        document = found.process.document("ctx_2")
        assert found.receiver.calls == 0
    assert (document["status"], document["error"]["message"]) == ("failed", "callback is missing")


def test_no_secret_is_stored(repository: MongoContextRepository) -> None:
    """Neither it nor what was signed with it, whatever the receiver echoes."""
    with stage(repository, 500) as found:
        found.ended()
        found.process.carry()
        signature = found.receiver.deliveries[0].headers["webhook-signature"]
        stored = str([*found.repository.contexts.find()])
    assert signature not in stored
    assert not any(word in stored for word in TWO_SECRETS.split())


def test_a_worker_of_no_repository_finds_its_own(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a worker process, and in the quarantine of one, which reads its own settings."""
    with stage(repository) as found:
        delivery_id = found.ended()
        settings = repository.settings
        worker = WebhookWorker(settings=settings)
        attempt = Attempt(
            number=1, deadline=time.monotonic() + 60, now=repository.now, trace_id="0" * 32
        )
        context = found.process.document(delivery_id)
        assert str(worker.carry_out(context, attempt=attempt).kind) == "completed"
        worker.close()
        for name, value in {
            "MONGODB_URI": settings.mongodb_uri.get_secret_value(),
            "MONGODB_DATABASE": str(settings.mongodb_database),
            "AGENT_WEBHOOK_HOSTS": found.receiver.host,
            "AGENT_WEBHOOK_SECRET": TWO_SECRETS,
        }.items():
            monkeypatch.setenv(name, value)
        assert str(carry_out_alone(worker, context, attempt).kind) == "completed"
        first, second = found.receiver.deliveries
    assert first.id == second.id
    assert second.is_signed_with(KEY)


def test_a_worker_that_runs_alone_does_it_all(repository: MongoContextRepository) -> None:
    """Without bridge and broker: what has ended is found, and told."""
    with stage(repository) as found:
        context_id = str(
            Requests(repository)
            .manager.create_service_context(
                Template(id="t", service_type="ANALYSIS"),
                RequestData(id="req_1"),
                callback_url=found.receiver.url,
            )
            .id
        )
        repository.cancel(context_id)
        worker = WebhookWorker(repository, settings=repository.settings)

        async def live() -> None:
            await worker.start()
            try:
                await asyncio.to_thread(wait_until, lambda: found.receiver.deliveries, 30)
            finally:
                await worker.stop()

        asyncio.run(live())
        [delivery] = found.receiver.deliveries
    assert delivery.message["type"] == "request.cancelled"
    assert delivery.message["data"]["id"] == context_id


def test_a_process_without_hosts_does_not_start(settings: Settings) -> None:
    """It says which setting is missing."""
    with pytest.raises(ConfigurationError, match="AGENT_WEBHOOK_HOSTS is not set"):
        WebhookWorker(settings=settings).check()
