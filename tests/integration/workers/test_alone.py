"""Workers that run alone: no broker, no bridge, a repository and an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agent.errors import ConfigurationError
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.analysis_worker import AnalysisWorker
from agent.workers.communication_worker import CommunicationWorker
from agent.workers.generative_worker import GenerativeWorker
from agent.workers.worker_base import ClientWorker
from tests.factories import LONG_AGO, a_context, foreign
from tests.faults.proxy import Proxy
from tests.faults.sandbox import Sandbox
from tests.integration.workers.stage import Blocking, Scripted, reply
from tests.integration.workers.works import BODIES, finished, work
from tests.waiting import wait_until


def threads() -> set[threading.Thread]:
    """The threads that run, but for the driver's."""
    return {each for each in threading.enumerate() if not each.name.startswith("pymongo_")}


def while_working(worker: ClientWorker, predicate: Any) -> None:
    """Have one work until something is true, and stop it."""

    async def live() -> None:
        await worker.start()
        try:
            await asyncio.to_thread(wait_until, predicate)
        finally:
            await worker.stop()

    asyncio.run(live())


@pytest.fixture
def mongo_context_repository(
    repository: MongoContextRepository, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> MongoContextRepository:
    """A repository, in an environment that says where the services are."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    return repository


def test_three_workers_share_one_repository(
    mongo_context_repository: MongoContextRepository,
) -> None:
    """The usage of old, word for word: they poll for their own contexts by themselves."""

    async def main() -> None:
        # Create and start workers
        generative_worker = GenerativeWorker(mongo_context_repository)
        analysis_worker = AnalysisWorker(mongo_context_repository)
        communication_worker = CommunicationWorker(mongo_context_repository)

        await generative_worker.start()
        await analysis_worker.start()
        await communication_worker.start()

        await asyncio.to_thread(wait_until, lambda: finished(repository) == 31)
        await asyncio.gather(
            generative_worker.stop(), analysis_worker.stop(), communication_worker.stop()
        )

    repository = mongo_context_repository
    repository.insert_contexts([work(name, n) for name in BODIES for n in range(10)])
    repository.contexts.insert_one(foreign(_id="foreign", tags=["generative"]))
    asyncio.run(main())
    results = [each["results"] for each in repository.contexts.find({"service_type": "GENERATIVE"})]
    assert len(results) == 11
    assert "Number 7" in str(results)
    assert repository.find_context("foreign")["status"] == "completed"


def test_a_worker_does_the_duties_as_well(repository: MongoContextRepository) -> None:
    """What is scheduled comes due, what is foreign is adopted, what is late fails."""
    soon = repository.now()
    repository.insert_contexts(
        [
            a_context(_id="scheduled", status="scheduled", available_at=soon),
            a_context(_id="late", status="waiting", deadline_at=LONG_AGO),
        ]
    )
    repository.contexts.insert_one(foreign(_id="foreign"))
    worker = Scripted(reply(200, {}), repository=repository)
    while_working(worker, lambda: finished(repository) == 2)
    assert repository.find_context("late")["status"] == "failed"


def one_at_a_time(_threads: int, name: str) -> ThreadPoolExecutor:
    """A pool on a machine so busy that a thread begins only when the other one has ended."""
    return ThreadPoolExecutor(1, name)


def test_stopping_waits_for_calls_and_takes_nothing_more(
    repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had begun is completed; what it had only claimed goes back at once, for others; no
    thread is left."""
    before = threads()
    worker = Scripted(reply(200, {}), repository=repository)
    worker.before = blocking = Blocking()
    repository.insert_contexts([a_context(_id="first"), a_context(_id="second")])

    async def live() -> None:
        await worker.start()
        alone = worker._alone
        assert alone is not None
        assert await asyncio.to_thread(blocking.entered.wait, 10)
        await asyncio.to_thread(wait_until, lambda: alone._slots.taken == 2)
        stopping = asyncio.create_task(worker.stop())
        await asyncio.to_thread(wait_until, alone._carrier._draining.is_set)
        repository.insert_contexts([a_context(_id="third")])
        blocking.go_on.set()
        await stopping

    monkeypatch.setattr("agent.workers.alone.ThreadPoolExecutor", one_at_a_time)
    asyncio.run(live())
    statuses = {each["_id"]: each["status"] for each in repository.contexts.find()}
    assert statuses == {"first": "completed", "second": "pending", "third": "pending"}
    wait_until(lambda: threads() <= before)


def test_starting_and_stopping_twice_is_no_harm(repository: MongoContextRepository) -> None:
    """And one that was stopped may be started again."""
    worker = Scripted(reply(200, {}), repository=repository)

    async def live() -> None:
        for number in range(2):
            await worker.start()
            await worker.start()
            repository.insert_contexts([a_context(_id=f"ctx_{number}")])
            await asyncio.to_thread(
                wait_until, lambda number=number: finished(repository) == number + 1
            )
            await worker.stop()
            await worker.stop()

    asyncio.run(live())
    assert worker.keys == ["ctx_0", "ctx_1"]


def test_several_workers_of_one_service_share_its_contexts(
    repository: MongoContextRepository,
) -> None:
    """Each context is called once."""
    workers = [Scripted(reply(200, {}), repository=repository) for _ in range(3)]
    repository.insert_contexts([a_context(_id=f"ctx_{n:02}") for n in range(40)])

    async def live() -> None:
        for worker in workers:
            await worker.start()
        await asyncio.to_thread(wait_until, lambda: finished(repository) == 40)
        await asyncio.gather(*(worker.stop() for worker in workers))

    asyncio.run(live())
    keys = sorted(key for worker in workers for key in worker.keys)
    assert keys == [f"ctx_{n:02}" for n in range(40)]


def test_a_worker_goes_through_the_gate(repository: MongoContextRepository) -> None:
    """While an operator has paused its service nothing starts; then it does."""
    repository.pause_service("GENERATIVE", by="operator", reason="maintenance", until=None)
    repository.insert_contexts([a_context(_id="ctx_1")])
    worker = Scripted(reply(200, {}), repository=repository)

    async def live() -> None:
        await worker.start()
        assert worker._alone is not None
        rooms = worker._alone._admission.rooms
        await asyncio.to_thread(wait_until, lambda: rooms)
        assert str(rooms["GENERATIVE"].bound) == "the service is paused"
        assert worker.keys == []
        repository.resume_service("GENERATIVE")
        await asyncio.to_thread(wait_until, lambda: finished(repository) == 1)
        await worker.stop()

    asyncio.run(live())


def test_what_is_given_beats_the_environment(
    mongo_context_repository: MongoContextRepository, sandbox: Sandbox
) -> None:
    """Its address, key, interval and batch."""
    url = sandbox.environment["GENERATION_BASE_URL"]
    repository = mongo_context_repository
    repository.insert_contexts([work("GENERATIVE", n) for n in range(5)])
    worker = GenerativeWorker(
        repository, base_url=url, api_key="k", poll_interval=0.05, batch_size=2
    )
    while_working(worker, lambda: finished(repository) == 5)


@pytest.mark.parametrize(
    ("worker", "missing"),
    [
        (GenerativeWorker(), "no repository"),
        (Scripted({}), "no repository"),
    ],
)
def test_a_worker_without_a_repository_says_so(worker: ClientWorker, missing: str) -> None:
    """At its start."""
    with pytest.raises(ConfigurationError, match=missing):
        asyncio.run(worker.start())


def test_a_worker_without_a_service_says_so(repository: MongoContextRepository) -> None:
    """It names the variable."""
    with pytest.raises(ConfigurationError, match="ANALYSIS_BASE_URL is not set"):
        asyncio.run(AnalysisWorker(repository).start())


def test_a_worker_waits_for_mongodb(
    repository: MongoContextRepository, distant: MongoContextRepository, network: Proxy
) -> None:
    """Its start returns at once, whether MongoDB is there or not; an outage later is no end."""
    repository.insert_contexts([a_context(_id="ctx_1")])
    network.cut()
    worker = Scripted(reply(200, {}), repository=distant)

    async def live() -> None:
        await worker.start()
        network.mend()
        await asyncio.to_thread(wait_until, lambda: worker.keys == ["ctx_1"])
        network.cut()
        assert worker._alone is not None
        await asyncio.to_thread(wait_until, lambda: worker._alone._away)  # type: ignore[union-attr]
        network.mend()
        repository.insert_contexts([a_context(_id="ctx_2")])
        await asyncio.to_thread(wait_until, lambda: worker.keys == ["ctx_1", "ctx_2"])
        await worker.stop()

    asyncio.run(live())
