"""A worker without a service, and a process that carries contexts out with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent import outcomes
from agent.models import Claim, Document
from agent.outcomes import Outcome
from agent.replies import Reply
from agent.services import GENERATIVE
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.services import Pause
from agent.workers.call import Attempt, ServiceRequest, call_headers
from agent.workers.carrier import Carrier
from agent.workers.worker_base import ClientWorker
from tests.factories import a_context

Answer = Reply | Mapping[str, Any] | Exception
BASE_URL = "http://base.example"


def reply(status: int, body: object = None, **headers: str) -> Reply:
    """A whole answer; the names of headers are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, json.dumps({} if body is None else body).encode())


class Scripted(ClientWorker):
    """Answers what a test says, by HTTP's rules but without a network; notes who called."""

    service = GENERATIVE

    def __init__(self, *answers: Answer, **given: Any) -> None:
        super().__init__(**{"base_url": BASE_URL, **given})
        self.answers: list[Answer] = list(answers)
        self.keys: list[str] = []
        """The idempotency key of each call, in order."""
        self.polls = 0
        self.before: Callable[[Document], object] = lambda _context: None
        """Done amid every call."""

    def call(
        self, context: Document, request: ServiceRequest, *, attempt: Attempt
    ) -> Reply | Mapping[str, Any]:
        self.keys.append(call_headers(context, attempt)["idempotency-key"])
        self.before(context)
        return self._answer()

    def poll(self, context: Document, *, attempt: Attempt) -> Outcome:
        self.polls += 1
        found = self._answer()
        assert isinstance(found, Reply)
        return outcomes.read_poll(found, now=attempt.now())

    def _answer(self) -> Reply | Mapping[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Blocking:
    """Amid a call: holds it until the test lets it go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, _context: Document) -> None:
        self.entered.set()
        assert self.go_on.wait(30)


class Process:
    """One process: a carrier with one worker, on a real repository."""

    def __init__(self, repository: MongoContextRepository, worker: ClientWorker) -> None:
        self.repository = repository
        self.worker = worker
        self.service_type = worker.service.name
        self.carrier = Carrier(
            repository.settings,
            "worker:1",
            repository=repository,
            workers={self.service_type: worker},
        )
        self._threads: list[threading.Thread] = []

    def insert(self, context_id: str = "ctx_1", **fields: Any) -> str:
        self.repository.insert_contexts(
            [a_context(**{"_id": context_id, "service_type": self.service_type, **fields})]
        )
        return context_id

    def claim(self, *, calls: int = 100) -> list[Claim]:
        settings = self.worker.service_settings
        return self.repository.claim(
            self.service_type, calls=calls, polls=100, lease=settings.queue_lease, owner="bridge:1"
        )

    def carry(self) -> list[Claim]:
        """Carry out whatever is pending, one after the other."""
        claims = self.claim()
        for claim in claims:
            self.carrier.run(self.service_type, *claim)
        return claims

    def begin(self, claim: Claim) -> threading.Thread:
        """Carry out one context in a thread of its own."""
        thread = threading.Thread(target=self.carrier.run, args=(self.service_type, *claim))
        thread.start()
        self._threads.append(thread)
        return thread

    def document(self, context_id: str = "ctx_1") -> Document:
        return self.repository.find_context(context_id)

    def join(self) -> None:
        """Wait until every thread that was begun has ended."""
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def process(repository: MongoContextRepository, worker: ClientWorker) -> Iterator[Process]:
    """A process that has opened its connections, and closes them."""
    found = Process(repository, worker)
    found.carrier.open()
    try:
        yield found
    finally:
        found.join()
        found.carrier.close()


def pause_of(found: Process) -> Pause | None:
    state = found.repository.service_states().get(found.service_type)
    return None if state is None else state.pause


def attempts_of(document: Document) -> list[str]:
    return [attempt["outcome"] for attempt in document["attempts"]]
