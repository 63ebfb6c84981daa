"""The parts of a bridge on real servers, beside workers that only show signs of life."""

from __future__ import annotations

from typing import Any

from dramatiq import Message

from agent.admission.admission import Admission
from agent.projections.connection import connect_redis
from agent.projections.presence import Presence, WorkerView
from agent.projections.signals import SharedSignals, Signals
from agent.services import ServiceType
from agent.settings import Settings
from agent.store.ejson import decode_id
from agent.store.mongo_context_repository import MongoContextRepository
from bridge.admit import Admit
from bridge.recovery import Recovery
from tests.factories import a_context

OWNER = "bridge:1"


class Stage:
    """One bridge's admission and recovery, put together as its process does."""

    def __init__(self, settings: Settings, repository: MongoContextRepository) -> None:
        self.settings = settings
        self.repository = repository
        self.client = connect_redis(settings, max_connections=8, name="test")
        self.services = list(settings.registry.values())
        self.presence = Presence(self.client, settings.namespace)
        self.signals = Signals(settings.namespace)
        self.admit, self.recovery = self.new_bridge()

    def new_bridge(self) -> tuple[Admit, Recovery]:
        """Another bridge on the same servers."""
        settings, client = self.settings, self.client
        shared = SharedSignals(client, settings.namespace)
        admission = Admission(self.repository, self.services, settings, shared, OWNER)
        admit = Admit(admission, self.services, client, settings)
        return admit, Recovery(self.repository, client, admit, settings, settings.registry)

    def close(self) -> None:
        self.client.close()

    def insert(self, *ids: Any, **fields: Any) -> None:
        documents = [{**a_context(**fields), "_id": each} for each in ids]
        self.repository.insert_contexts(documents)

    def beat(self, worker_id: str = "w1", **more: Any) -> None:
        """A sign of life of a worker with 8 threads for GENERATIVE."""
        view: dict[str, Any] = {
            "worker_id": worker_id,
            "service_types": ("GENERATIVE",),
            "threads": 8,
            "busy": 0,
            "host": "h",
            "pid": 1,
            "version": "0",
            "draining": False,
            "started_at": "2025-03-01T12:00:00Z",
            "broker_id": f"broker-{worker_id}",
            **more,
        }
        self.presence.beat(WorkerView(**view))

    def silence(self, worker_id: str, seconds: float) -> None:
        """Have its last sign of life be so old."""
        self.client.zincrby(f"{self.settings.namespace}:workers", -seconds, worker_id)

    def key(self, service: ServiceType) -> str:
        return f"{self.settings.dramatiq_namespace}:{service.queue}"

    def waiting(self, service: ServiceType) -> list[tuple[Any, ...]]:
        """What each message in a queue asks for, in order."""
        ids = self.client.lrange(self.key(service), 0, -1)
        texts = [self.client.hget(f"{self.key(service)}.msgs", each) for each in ids]
        messages = [Message.decode(str(text).encode()) for text in texts if text is not None]
        return [(decode_id(message.args[0]), *message.args[1:]) for message in messages]

    def ids_waiting(self, service: ServiceType) -> list[Any]:
        return [args[0] for args in self.waiting(service)]

    def fetch(self, service: ServiceType, count: int, broker_id: str = "broker-w1") -> list[str]:
        """A worker takes messages out of the queue, as Dramatiq does."""
        acks = f"{self.settings.dramatiq_namespace}:__acks__.{broker_id}.{service.queue}"
        fetched = []
        for _ in range(count):
            message_id = self.client.lpop(self.key(service))
            assert isinstance(message_id, str)
            self.client.sadd(acks, message_id)
            fetched.append(message_id)
        return fetched
