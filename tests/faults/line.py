"""The whole line as real processes: bridges, workers, Base services, on given servers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis
from pydantic import SecretStr
from pymongo.database import Database

from agent.intake.context_manager import ContextManager
from agent.models import FINAL, Document, RequestData, Step, Template, new_id
from agent.projections.connection import connect_redis
from agent.projections.presence import Presence, WorkerView
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.checker import History, Plan
from tests.checker.plan import Types
from tests.faults.processes import Processes, Running
from tests.faults.sandbox import Sandbox
from tests.faults.witness import Witness
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 40.0
"""For a worker to end: 20 s for calls that still run, and what a busy machine adds."""

LOOK = 50
"""Contexts that one question asks for."""

TEMPLATES: Mapping[ServiceType, Mapping[str, Any]] = {
    GENERATIVE: {"prompt": "Number {{number}}"},
    ANALYSIS: {},
    COMMUNICATION: {"recipient": "ann", "message": "Number {{number}}", "channel": "mail"},
}

LineFactory = Callable[..., "Line"]


class Line:
    """One line with a place of its own on both servers.

    Args:
        folder: of its logs and of what the services keep.
        environment: variables of all its processes, beside those that say where everything is.
        api_key: what its services ask for.
    """

    def __init__(
        self,
        folder: Path,
        mongodb_uri: str,
        redis_url: str,
        environment: Mapping[str, str],
        api_key: str | None = None,
    ) -> None:
        name = uuid4().hex[:16]
        self.settings = Settings(
            mongodb_uri=SecretStr(mongodb_uri),
            mongodb_database=f"test_{name}",
            redis_url=SecretStr(redis_url),
            namespace=f"t{name}",
        )
        self.mongodb_uri, self.redis_url = mongodb_uri, redis_url
        self.folder = folder
        self.environment: dict[str, str] = {
            "MONGODB_URI": mongodb_uri,
            "MONGODB_DATABASE": f"test_{name}",
            "REDIS_URL": redis_url,
            "AGENT_NAMESPACE": f"t{name}",
            "PYTHONPATH": str(ROOT),
        }
        self.workers: list[Running] = []
        self.processes = Processes(folder, self.environment)
        self.sandbox = Sandbox(self.processes, folder / "sandbox", api_key)
        self.environment |= {**self.sandbox.environment, **environment}
        self.processes.environment.update(self.environment)
        self.client: redis.Redis = connect_redis(self.settings, max_connections=4, name="test")
        self.presence = Presence(self.client, self.settings.namespace)
        self.repository = MongoContextRepository.connect(self.settings)
        self._submitting = self._manager(self.settings)
        self.witness = Witness(self)

    @property
    def database(self) -> Database[Document]:
        return self.repository.database

    def __enter__(self) -> Self:
        self.sandbox.folder.mkdir()
        self.sandbox.start()
        self.witness.recorder.__enter__()
        self.repository.create_indexes()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.processes.stop()
        self.witness.recorder.__exit__(kind, error, trace)
        self.repository.client.drop_database(self.database.name)
        for pattern in (f"{self.settings.namespace}:*", f"{self.settings.namespace}.dramatiq:*"):
            if keys := list(self.client.scan_iter(pattern, count=1000)):
                self.client.delete(*keys)
        self.repository.close()
        self.client.close()

    def learn_services(self, workers: Sequence[str]) -> None:
        """Know these worker classes, too, as its processes do."""
        self._submitting = self._manager(self.settings.model_copy(update={"workers": workers}))

    def _manager(self, settings: Settings) -> ContextManager:
        return ContextManager(self.repository, self.repository.now, settings.registry, settings)

    # Its processes

    def start_bridge(self, *, inside: Sequence[str] = (), **environment: str) -> Running:
        """Start a bridge, and wait until it works or stands by.

        Args:
            inside: a command that runs another one, in a network of its own for instance.
        """
        bridge = self.processes.start(
            "bridge", *inside, sys.executable, "-m", "bridge", environment=environment
        )
        bridge.wait_for_start(lambda: bridge.logged("bridge.started"))
        return bridge

    def start_worker(
        self,
        *services: ServiceType,
        threads: int = 8,
        restart: bool = False,
        inside: Sequence[str] = (),
        **environment: str,
    ) -> Running:
        """Start a worker process for these services, and wait until it shows itself."""
        worker = self.launch_worker(
            *services, threads=threads, restart=restart, inside=inside, **environment
        )
        worker.wait_for_start(lambda: self.view_of(worker))
        return worker

    def launch_worker(
        self,
        *services: ServiceType,
        threads: int = 8,
        restart: bool = False,
        inside: Sequence[str] = (),
        **environment: str,
    ) -> Running:
        """Start one that may have to wait for its servers; `inside` as for a bridge."""
        queues = [service.queue for service in services]
        worker = self.processes.start(
            "-".join(queues),
            *(*inside, sys.executable, "-m", "dramatiq", "agent.actors", "-Q", *queues),
            *("-p", "1", "-t", str(threads)),
            *("--worker-shutdown-timeout", "20000", "--skip-logging"),
            environment=environment,
            restart=restart,
        )
        self.workers.append(worker)
        return worker

    def stop_workers(self, *, but: Running | None = None) -> None:
        """End all workers that still run, those that were frozen too."""
        running = [worker for worker in self.workers if worker.handle.alive and worker is not but]
        for worker in running:
            worker.thaw()
            worker.terminate()
        for worker in running:
            assert worker.wait(STOP_SECONDS) == 0
        self.workers[:] = [worker for worker in self.workers if worker is but]

    def view_of(self, worker: Running) -> WorkerView | None:
        """A worker process as its last beat described it; None while it has not beaten."""
        views = self.presence.live()
        return next((view for view in views if worker.owns(view.pid)), None)

    def worker_id(self, worker: Running) -> str:
        """By what the leases of a worker are known."""
        view = self.view_of(worker)
        assert view is not None, f"{worker.name} shows no sign of life"
        return view.worker_id

    # What it is to do

    def submit(
        self,
        service: ServiceType,
        count: int = 1,
        *,
        fault: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> list[str]:
        """Create contexts; their ids.

        Args:
            fault: what their calls ask the sandbox to do wrong.
            data: of the request, beside what the service needs.
            options: further ones of the context manager.
        """
        template = Template(
            id="work",
            service_type=service.name,
            service_template=dict(TEMPLATES.get(service, {})),
        )
        requests = [
            RequestData(
                id=new_id("req"),
                data={
                    "number": number,
                    "series": [number, 2, 3],
                    **({"sandbox": dict(fault)} if fault else {}),
                    **(data or {}),
                },
            )
            for number in range(count)
        ]
        return [
            str(each.id) for each in self._submitting.create_many(template, requests, **options)
        ]

    def submit_request(self, steps: Sequence[Step], data: Mapping[str, Any]) -> str:
        """Create a request of several steps; the id of its parent."""
        request = RequestData(id=new_id("req"), data=dict(data))
        parent = self._submitting.create_request(
            steps, request, template_id="work", template_version="1.0"
        )
        return str(parent.id)

    def insert(self, *documents: Document) -> list[Any]:
        """Insert documents as another program does; their ids."""
        return list(self.database["contexts"].insert_many(list(documents)).inserted_ids)

    # What has become of it

    def document(self, context_id: Any) -> Document:
        """One context as it is now."""
        return self.repository.find_context(context_id)

    def documents(self, ids: Sequence[Any]) -> list[Document]:
        """Contexts as they are now; those that are gone are not there."""
        return list(self.database["contexts"].find({"_id": {"$in": list(ids)}}))

    def count(self, ids: Sequence[Any], **fields: Any) -> int:
        """How many of these have these values, such as `status="queued"`."""
        wanted = {name.replace("__", "."): value for name, value in fields.items()}
        return self.database["contexts"].count_documents({"_id": {"$in": list(ids)}, **wanted})

    def statuses(self, ids: Sequence[Any]) -> Counter[str]:
        """How many of these there are in each status."""
        found = self.database["contexts"].find({"_id": {"$in": list(ids)}}, {"status": 1})
        return Counter(document["status"] for document in found)

    def wait_until_final(self, ids: Sequence[Any], timeout: float) -> None:
        """Wait until every one of these is final.

        Raises:
            AssertionError: with how many are in which status.
        """
        left = list(ids)

        def are_final() -> bool:
            while left:  # a few at a time: to ask for all of them again and again is slow
                asked = left[:LOOK]
                final = self._final_of(asked)
                left[:LOOK] = [each for each in asked if each not in final]
                if len(final) < len(asked):
                    return False
            return True

        try:
            wait_until(are_final, timeout, 0.1)
        except AssertionError:
            raise AssertionError(
                f"not final within {timeout:g} s: {dict(self.statuses(ids))}; "
                f"the logs are in {self.folder}"
            ) from None

    def _final_of(self, ids: Sequence[Any]) -> list[Any]:
        final = {"$in": sorted(map(str, FINAL))}
        found = self.database["contexts"].find(
            {"_id": {"$in": list(ids)}, "status": final}, {"_id": 1}
        )
        return [document["_id"] for document in found]

    def history(self, ids: Sequence[Any]) -> History:
        """What happened to these."""
        return self.witness.history(ids)

    def assert_sound(
        self,
        ids: Sequence[Any],
        failed: Mapping[Any, Types] | Plan | None = None,
        *,
        drained: bool = True,
    ) -> None:
        """Nothing lost, nothing doubled, nothing failed but as planned, and Redis drains.

        Args:
            failed: what is to fail, and with which type of error; or a whole plan.
            drained: False where no worker is there that could empty the queues.

        Raises:
            AssertionError: with all that is wrong.
        """
        self.witness.assert_sound(ids, failed or {}, drained=drained)

    def in_broker(self, service: ServiceType) -> int:
        """How many messages of a service wait in its queue."""
        return int(self.client.llen(f"{self.settings.dramatiq_namespace}:{service.queue}"))

    # Time

    def later(self, service: ServiceType, seconds: float) -> None:
        """Have a service's pause, and what waits for its time, come sooner: a clock set ahead."""
        past = timedelta(seconds=seconds)
        services, contexts = self.database["services"], self.database["contexts"]
        paused = services.find_one({"_id": service.name, "pause.until": {"$type": "date"}})
        if paused is not None:
            until = paused["pause"]["until"] - past
            services.update_one({"_id": service.name}, {"$set": {"pause.until": until}})
        for document in contexts.find({"service_type": service.name, "status": "scheduled"}):
            contexts.update_one(
                {"_id": document["_id"], "status": "scheduled"},
                {"$set": {"available_at": document["available_at"] - past}},
            )


def processing_by(line: Line, worker: Running, ids: Sequence[Any]) -> list[Any]:
    """Which of these contexts a worker holds and has had time to send."""
    sent_by = line.repository.now() - timedelta(seconds=0.5)
    found = line.database["contexts"].find(
        {
            "_id": {"$in": list(ids)},
            "status": "processing",
            "lease.owner": line.worker_id(worker),
            "started_at": {"$lte": sent_by},
        },
        {"_id": 1},
    )
    return [document["_id"] for document in found]
