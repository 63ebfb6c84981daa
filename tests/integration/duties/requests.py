"""Requests of several steps on a real server, whose calls end as a test says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from agent.duties.settle import Settle
from agent.intake.context_manager import ContextManager
from agent.models import Claim, Document, ErrorRecord, RequestData, Status, Step, Template, new_id
from agent.outcomes import completed, failed
from agent.store.changes import Hold
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.settle import Ran, write_of

LEASE = timedelta(seconds=30)
ERROR = ErrorRecord(type="BadRequest", message="the service answered 400", status_code=400)

DIAMOND: Mapping[str, tuple[str, ...]] = {
    "draft": (),
    "score": ("draft",),
    "check": ("draft",),
    "send": ("score", "check"),
}
CHAIN: Mapping[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("b",)}


def a_step(key: str, *after: str, service: str = "ANALYSIS", **fields: Any) -> Step:
    """A step that only says what it comes after."""
    template = Template(id="t", service_type=service, service_template=fields.pop("body", {}))
    return Step(key=key, template=template, after=after, **fields)


class Requests:
    """What people, workers and settle do to requests, one thing after the other."""

    def __init__(self, repository: MongoContextRepository) -> None:
        self.repository = repository
        self.settle = Settle(repository)
        settings = repository.settings
        self.manager = ContextManager(repository, repository.now, settings.registry, settings)

    def create(
        self, graph: Mapping[str, tuple[str, ...]], *, goes_on: tuple[str, ...] = (), **options: Any
    ) -> str:
        """A request with these steps; the id of its parent.

        Args:
            goes_on: steps whose failure stops nobody.
        """
        steps = [
            a_step(key, *after, on_failure="continue" if key in goes_on else "cancel")
            for key, after in graph.items()
        ]
        return str(self.submit(steps, **options))

    def submit(self, steps: list[Step], **options: Any) -> str:
        parent = self.manager.create_request(
            steps,
            RequestData(id=new_id("req"), data={"name": "Ann"}),
            template_id="t",
            template_version="1.0",
            **options,
        )
        return str(parent.id)

    def run(self) -> None:
        """Settle until nothing is left."""
        for _ in range(50):
            if not self.repository.unsettled():
                return
            self.settle.run()
        raise AssertionError("there is always something left to settle")

    def begin(self, parent_id: str, key: str) -> Hold:
        """A worker starts a step, which has to be pending."""
        repository, step = self.repository, f"{parent_id}_{key}"
        claims = repository.claim("ANALYSIS", calls=1000, lease=LEASE, owner="bridge:1")
        found = next(claim for claim in claims if claim.context_id == step)
        for claim in claims:
            if claim is not found:
                repository.release_queued(claim)
        return self.start(found)

    def start(self, claim: Claim) -> Hold:
        token = uuid4().hex
        assert self.repository.start(claim, owner="w", token=token, lease=LEASE)
        return Hold(claim.context_id, claim.fence, token)

    def end(self, hold: Hold, *, fails: bool = False, results: Any = None) -> bool:
        """Its call comes back; whether that still counted."""
        document = self.repository.find_context(hold.context_id)
        outcome = failed(ERROR) if fails else completed(results or {"by": document["step"]})
        ran = Ran(document, hold, "w", polls=False, seconds=0.1, trace_id="t")
        now = self.repository.now()
        return self.repository.write_back(write_of(outcome, ran, now, lambda: 0.5))

    def finish(self, parent_id: str, *keys: str, fails: bool = False) -> None:
        """These steps are carried out, and what follows is settled."""
        for key in keys:
            assert self.end(self.begin(parent_id, key), fails=fails)
            self.run()

    def statuses(self, parent_id: str) -> dict[str, str]:
        """The status of each step, by its key."""
        found = self.repository.contexts.find({"parent_id": parent_id})
        return {document["step"]: document["status"] for document in found}

    def parent(self, parent_id: str) -> Document:
        return self.repository.find_context(parent_id)

    def status(self, parent_id: str) -> str:
        return str(self.parent(parent_id)["status"])

    def progress(self, parent_id: str) -> Document:
        found: Document = self.parent(parent_id)["results"]["progress"]
        return found

    def make_older(self, parent_id: str, minutes: int) -> None:
        """Have a creation be so long ago."""
        past = timedelta(minutes=minutes)
        parent = self.parent(parent_id)
        changed = {
            "created_at": parent["created_at"] - past,
            "incomplete_at": parent["incomplete_at"] - past,
            "unsettled.at": parent["unsettled"]["at"] - past,
        }
        self.repository.contexts.update_one({"_id": parent_id}, {"$set": changed})

    def pending(self) -> list[Any]:
        found = self.repository.contexts.find({"status": str(Status.PENDING)})
        return sorted(document["_id"] for document in found)
