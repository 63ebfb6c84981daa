"""A run that is sound, for tests to forge: one context, completed at its second attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.models import Document
from tests.checker import Broker, ChangeEvent, Gap, History, Plan, Record, Violation, all_violations
from tests.checker.events import apply
from tests.factories import a_context, a_request

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = "ctx_1"
RESULTS = {"success": True, "text": "Hello"}
SHA256 = hashlib.sha256(b'{"success":true,"text":"Hello"}').hexdigest()
PAYLOAD = ("template", "request", "results", "metadata", "tags", "attempts")
"""What is not told of the changes."""


def at(second: float) -> datetime:
    """A moment of the run, by the server's clock."""
    return BEGAN + timedelta(seconds=second)


def a_call(**fields: Any) -> dict[str, Any]:
    """The call that brought the result."""
    return {
        "path": "/api/v1/generate",
        "request_id": "req_1",
        "idempotency_key": ID,
        "attempt": 2,
        "status": 200,
        "delivered": False,
        "reply_sha256": SHA256,
        **fields,
    }


def a_line(event: str, **fields: Any) -> dict[str, Any]:
    """A line of a log about the context."""
    return {"event": event, "context_id": ID, **fields}


def a_lease(number: int, second: float, *, token: str | None = None) -> Document:
    """The lease of a claim, or with a token of its start."""
    owner, seconds = ("worker", 30) if token else ("bridge", 50)
    return {
        "owner": owner,
        "claim_id": f"claim_{number}",
        "token": token,
        "expires_at": at(second + seconds),
    }


@dataclass
class Run:
    """What was taken down of one run; whatever a test changes in it is forged.

    Args:
        events: the changes, by a name of the test's own.
        stored: fields that the document has in the end beside, or against, what its changes
            come to.
        lost: whether there is no document.
        missed: when changes may be missing.
    """

    events: dict[str, ChangeEvent] = field(default_factory=dict)
    missed: float | None = None
    stored: Document = field(default_factory=dict)
    lost: bool = False
    attempts: list[Document] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    broker: Broker = field(default_factory=Broker)
    plan: Plan = field(default_factory=Plan)

    def tell(
        self,
        name: str,
        second: float,
        *removed: str,
        operation: Any = "update",
        **fields: Any,
    ) -> None:
        """A further change; in place of the one of that name, if there is one."""
        moment = at(second)
        dated = {"updated_at": moment, **fields} if operation == "update" else fields
        whole = {key.replace("__", "."): value for key, value in dated.items()}
        order = (round(second * 1000), 1)
        self.events[name] = ChangeEvent(operation, ID, order, moment, whole, removed)

    def change(self, name: str, **fields: Any) -> None:
        """Other fields in a change."""
        told = self.events[name]
        whole = {key.replace("__", "."): value for key, value in fields.items()}
        self.events[name] = replace(told, fields={**told.fields, **whole})

    def fail(self, kind: str, **fields: Any) -> None:
        """Fail in the end, instead of being completed, and as planned."""
        error = {"type": kind, "message": "no", **fields.pop("error", {})}
        ended = {"status": "failed", "completed_at": at(15), "error": error, "crashes": 0}
        self.tell("complete", 15, "lease", "remote", **{**ended, **fields})
        self.attempts[-1]["outcome"] = "failed"
        self.lines[-1]["outcome"] = "failed"
        self.stored["results"] = None
        self.plan = Plan(failed={ID: kind})

    @property
    def entries(self) -> Sequence[ChangeEvent | Gap]:
        """The changes in the order of their times."""
        told = sorted(self.events.values(), key=lambda event: event.order)
        if self.missed is None:
            return told
        before = [event for event in told if event.at < at(self.missed)]
        return [*before, Gap("the server lost them"), *told[len(before) :]]

    @property
    def document(self) -> Document:
        """What is stored in the end."""
        document: Document = {}
        for event in sorted(self.events.values(), key=lambda event: event.order):
            document = apply(event, document)
        payload = {**a_context(_id=ID, request=a_request(id="req_1")), "results": RESULTS}
        kept = {name: payload[name] for name in PAYLOAD if name in payload}
        return {"_id": ID, **kept, **document, "attempts": self.attempts, **self.stored}

    def violations(self) -> list[Violation]:
        """All that the checker finds in it."""
        documents = [] if self.lost else [self.document]
        record = Record(tuple(self.entries))
        history = History([ID], documents, self.calls, record, self.lines, self.broker)
        return list(all_violations(history, self.plan))


def a_run() -> Run:
    """A sound one: the first attempt came to a 503, the second to a result."""
    run = Run()
    context = a_context(_id=ID, request=a_request(id="req_1"))
    inserted = {name: value for name, value in context.items() if name not in PAYLOAD}
    run.tell("insert", 0, operation="insert", **inserted)
    for number, second in ((1, 1.0), (2, 7.0)):
        told_claim = {"status": "queued", "fence": number, "lease": a_lease(number, second)}
        run.tell(f"claim {number}", second, **told_claim)
        start(run, number, second + 1)
    waits = {"status": "scheduled", "wait_reason": "retry", "available_at": at(5), "failures": 1}
    run.tell("retry", 3, "lease", "remote", crashes=0, **waits)
    run.tell("promote", 6, status="pending", wait_reason=None)
    run.tell("renew", 12, lease__expires_at=at(42))
    run.tell(
        "complete", 15, "lease", "remote", "error",
        status="completed", completed_at=at(15), crashes=0,
    )  # fmt: skip
    run.attempts = [
        {"number": 1, "fence": 1, "outcome": "retry", "definite": True},
        {"number": 2, "fence": 2, "outcome": "completed", "definite": True},
    ]
    run.calls = [a_call(attempt=1, status=503, reply_sha256="of the error"), a_call()]
    run.lines = [
        a_line("attempt.ended", fence=1, outcome="retry"),
        a_line("attempt.ended", fence=2, outcome="completed"),
    ]
    return run


def start(run: Run, number: int, second: float, **fields: Any) -> None:
    """A start of the claim of that number."""
    lease = a_lease(number, second, token=f"token_{number}")
    told = {"status": "processing", "attempt": number, "lease": lease, "processed_by": "worker"}
    run.tell(f"start {number}", second, started_at=at(second), **{**told, **fields})
