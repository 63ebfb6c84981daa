"""The work of a plan at its times: submits, foreign documents, cancels and retries, in one thread.

Nobody waits for anybody here: an operation meets a context in whatever state it is by then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from bson import Int64, ObjectId
from pymongo.errors import PyMongoError

from agent.errors import AgentError, ContextNotFound, IllegalTransition
from agent.models import ABSENT, Document, new_id
from tests.factories import foreign
from tests.faults.line import Line
from tests.nemesis.asks import ASKS, SERVICES
from tests.nemesis.plan import Batch, Operation
from tests.waiting import wait_until_past

MORE = "short"
MORE_COUNT = 3


class Work:
    """What is to be done, and the ids of what was acknowledged."""

    def __init__(self, line: Line, steps: Sequence[Batch | Operation]) -> None:
        self._line = line
        self._steps = steps
        self._batches: list[list[Any]] = []
        self._thread = threading.Thread(target=self._run, name="work", daemon=True)
        self._stopping = threading.Event()
        self.submitted: list[Any] = []
        self.cancelled: list[Any] = []
        self.retried: list[Any] = []
        """What operators tried on them; it may have been too early or too late."""
        self.deleted: list[Any] = []
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it where it is."""
        self._stopping.set()
        self._thread.join()

    def submit_more(self) -> None:
        """A little of everything, for a fault that needs work to strike."""
        for service in SERVICES:
            self._submit(Batch(0.0, service, MORE, MORE_COUNT))

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for step in self._steps:
                wait_until_past(began + step.at)
                if self._stopping.is_set():
                    return
                if isinstance(step, Batch):
                    self._batches.append(self._submit(step))
                else:
                    self._operate(step)
        except BaseException as exc:  # told by whoever waits for the end
            self.error = exc

    def _submit(self, batch: Batch) -> list[Any]:
        try:
            ids = self._insert(batch) if batch.service is None else self._create(batch)
        except (AgentError, PyMongoError):  # of each it is open whether it is stored
            return []
        self.submitted += ids
        return ids

    def _create(self, batch: Batch) -> list[Any]:
        ask = ASKS[batch.ask]
        now = self._line.repository.now()
        options: dict[str, Any] = {"priority": batch.priority, "max_attempts": ask.max_attempts}
        if batch.delay:
            options["available_at"] = now + timedelta(seconds=batch.delay)
        if batch.deadline:
            options["deadline_at"] = now + timedelta(seconds=batch.deadline)
        return list(
            self._line.submit(
                SERVICES[batch.service or ""],
                batch.count,
                fault=ask.fault,
                metadata={"ask": batch.ask},
                **options,
            )
        )

    def _insert(self, batch: Batch) -> list[Any]:
        documents = [theirs(batch.ask, metadata={"ask": batch.ask}) for _ in range(batch.count)]
        return self._line.insert(*documents)

    def _operate(self, operation: Operation) -> None:
        with suppress(AgentError, PyMongoError):
            for context_id in self._meant(operation):
                for do in self._deeds(operation.word, context_id):
                    with suppress(ContextNotFound, IllegalTransition):  # it is too early or late
                        do(context_id)

    def _meant(self, operation: Operation) -> list[Any]:
        if operation.batch is not None:
            return self._batches[operation.batch][:: operation.every]
        crashed = {"status": "scheduled", "wait_reason": "crash"}
        found = self._line.database["contexts"].find(crashed, {"_id": 1})
        return [document["_id"] for document in found]

    def _deeds(self, word: str, context_id: Any) -> Sequence[Callable[[Any], object]]:
        """What is done, having noted that it was: also where the answer is lost."""
        repository = self._line.repository
        if word in ("cancel", "begin anew"):
            self.cancelled.append(context_id)
        if word in ("retry", "begin anew"):
            self.retried.append(context_id)
        return {
            "cancel": (repository.cancel,),
            "retry": (repository.retry,),
            "begin anew": (repository.cancel, repository.retry),
            "run now": (repository.run_now,),
        }[word]


def theirs(shape: str, **fields: Any) -> Document:
    """A document of another program, in one of the shapes of `asks`."""
    whole = {"id": "hello", "service_type": "generative", "service_template": {"prompt": "Hi"}}
    bare = {"id": "hello"}
    shapes: dict[str, Document] = {
        "whole": {"template": whole},
        "bare": {"template": bare, "service_type": "ANALYSIS", "created_at": "2024-05-01T12:00:00"},
        "tagged": {"template": bare, "tags": ["Generative", "user:42"], "priority": 99},
        "with an id of its own": {"template": whole, "_id": f"theirs-{ObjectId()}"},
        "with a number for an id": {"template": whole, "_id": Int64(time.time_ns())},
        "unknown service": {"template": {**whole, "service_type": "NONE SUCH"}},
        "no request": {"template": whole, "request": "Hello"},
        "no template": {"template": ABSENT},
    }
    request = {"id": new_id("req"), "text": "Hello", "data": {"series": [1, 2, 3]}}
    return foreign(**{"request": request, **fields, **shapes[shape]})
