"""A whole installation in one process: a bridge's rounds, its duties, and a worker of each service.

Its broker is real, its time is moved by the test, and its services answer at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from bson.raw_bson import RawBSONDocument
from dramatiq import Message
from pymongo.errors import PyMongoError

from agent.duties.adopt import Adopt
from agent.duties.rescue import Rescue
from agent.duties.settle import Settle
from agent.duties.sweep import sweep
from agent.models import Document
from agent.outcomes import Outcome
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE
from agent.settings import Settings
from agent.store.ejson import decode_id
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.raw import RAW
from agent.workers.call import Attempt, ServiceRequest
from agent.workers.carrier import Carrier
from agent.workers.worker_base import ClientWorker
from bridge.doorbell import Bell, Ring
from bridge.rounds import Rounds
from tests.factories import a_context, a_lease, foreign
from tests.integration.bridge.stage import Stage
from tests.moved_clock import MovedClock
from tests.raw_bson import fields_of

NIGHT = timedelta(hours=13)
"""Past every lease and every back-off."""


class Prompt(ClientWorker):
    """Does at once what it is asked for; what it cannot build a request from, it refuses."""

    def call(
        self, context: Document, request: ServiceRequest, *, attempt: Attempt
    ) -> Mapping[str, Any]:
        return {"done": True}

    def poll(self, context: Document, *, attempt: Attempt) -> Outcome:
        return super().poll(context, attempt=attempt)  # there is nobody to ask


class Generative(Prompt):
    service = GENERATIVE


class Analysis(Prompt):
    service = ANALYSIS


class Communication(Prompt):
    service = COMMUNICATION


class Installation:
    """All parts that a document meets on its way."""

    def __init__(
        self, settings: Settings, repository: MongoContextRepository, clock: MovedClock
    ) -> None:
        self.repository = repository
        self.clock = clock
        self.stage = Stage(settings, repository)
        self.adopt = Adopt.of(repository)
        self.monotonic = 0.0
        policies = {name: each.on_ambiguous for name, each in settings.registry.items()}
        self.rescue = Rescue(repository, policies, monotonic=lambda: self.monotonic)
        self.rounds = Rounds(
            Bell(), repository, self.stage.admit, self.adopt, Settle(repository),
            leads=lambda: True, on_outage=lambda: None,
        )  # fmt: skip
        kinds: tuple[type[Prompt], ...] = (Generative, Analysis, Communication)
        workers = [kind(base_url="http://127.0.0.1:9") for kind in kinds]
        self.carrier = Carrier(
            settings, "worker:1", repository=repository,
            workers={worker.service.name: worker for worker in workers},
        )  # fmt: skip
        self.carrier.open()

    def close(self) -> None:
        self.carrier.close()
        self.stage.close()

    def clear(self) -> None:
        """Forget everything, the broker too."""
        self.repository.contexts.delete_many({})
        self.repository.database["services"].delete_many({})
        self.stage.client.flushdb()

    def insert(self, raw: bytes) -> bool:
        """Store a document as its bytes are; False where the server refuses it."""
        contexts = self.repository.contexts.with_options(RAW)
        try:
            contexts.insert_one(RawBSONDocument(raw, codec_options=RAW))
        except PyMongoError:
            return False
        return True

    def raw(self) -> dict[str, bytes]:
        """Every document as it is stored, by its `_id`, which is a string."""
        found = [bytes(each.raw) for each in self.repository.contexts.with_options(RAW).find()]
        return {fields_of(raw)["_id"].payload[4:-1].decode(): raw for raw in found}

    def insert_neighbours(self) -> dict[str, str]:
        """Well-formed contexts at every place; how each has to end."""
        now = self.repository.now()
        lost = {"fence": 1, "attempt": 1, "lease": a_lease()}
        soon = {"available_at": now + timedelta(minutes=1)}
        documents = [
            a_context(_id="near pending"),
            a_context(_id="near scheduled", status="scheduled", wait_reason="delay", **soon),
            a_context(_id="near queued", status="queued", **{**lost, "attempt": 0}),
            a_context(_id="near processing", status="processing", **lost),
            a_context(_id="near late", status="scheduled", deadline_at=now,
                      available_at=now + timedelta(days=9)),
            foreign(_id="near foreign"),
            foreign(_id="near odd", fence="odd"),
        ]  # fmt: skip
        self.repository.contexts.insert_many(documents)
        ends: dict[str, str] = {document["_id"]: "completed" for document in documents}
        return {**ends, "near late": "failed"}

    def round(self) -> None:
        """What the bridge does in a second or two, and what workers make of it."""
        self.stage.beat(service_types=("GENERATIVE", "ANALYSIS", "COMMUNICATION"), threads=96)
        self.rounds.run(Ring.TICK | Ring.FOREIGN)
        self.stage.recovery.run()
        for service in self.stage.services:
            for context_id, fence, claim_id in self._fetch(service.queue):
                self.carrier.run(service.name, context_id, fence, claim_id)

    def night(self) -> None:
        """Leases run out, and the slower duties have their turn."""
        self.clock.pass_time(NIGHT)
        self.monotonic += NIGHT.total_seconds()
        self.rescue.run()
        sweep(self.repository)
        self.adopt.run_thoroughly()

    def _fetch(self, queue: str) -> list[tuple[Any, int, str]]:
        client, name = self.stage.client, f"{self.stage.settings.dramatiq_namespace}:{queue}"
        ids: Any = client.lrange(name, 0, -1)
        texts: Iterable[Any] = [client.hget(f"{name}.msgs", each) for each in ids]
        client.delete(name, f"{name}.msgs")
        messages = [Message.decode(str(text).encode()) for text in texts]
        return [(decode_id(args[0]), args[1], args[2]) for args in (each.args for each in messages)]
