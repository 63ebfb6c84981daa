"""Twenty thousand contexts as a system has them after some busy hours: what the pages show.

Always the same ones, but for the moment that their times are counted from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from agent.fingerprint import fingerprint_of
from agent.models import Context, Document, RequestData, Status, Template, step_id

SERVICES = ("GENERATIVE", "ANALYSIS", "COMMUNICATION")
TEMPLATES = ("weekly_letter", "sentiment", "newsletter", "summary", "invoice_check")
TEAMS = ("north", "south", "east", "west")
ERRORS = (
    ("ServiceUnavailable", "503 from the service: upstream connect error", 503, True),
    ("OutcomeUnknown", "no reply within the deadline of 60 s", None, True),
    ("ReplyInvalid", "the reply is no JSON object: line 1 column 1", 200, False),
    ("Rejected", "422: field `recipient` is not an address", 422, False),
    ("RateLimited", "429: come again in 30 s", 429, True),
    ("PoisonContext", "its worker died ten times", None, False),
    ("PlaceholderMissing", "{{customer.name}} stands for nothing", None, False),
)
SPAN = timedelta(hours=20)
"""From the oldest to the newest."""
ITEMS = 1000
"""Of the one batch."""
STEPS = ("draft", "check", "translate", "send")
REPLY = {
    "success": True,
    "text": "Dear customer, " + "this is what your week looked like. " * 12,
    "usage": {"prompt_tokens": 812, "completion_tokens": 431, "model": "large-2"},
    "sections": ["greeting", "figures", "outlook"],
}


@dataclass(frozen=True, slots=True)
class Shares:
    """How many there are of each kind; together with the batch and its items, 20,000."""

    completed: int = 10_399
    failed: int = 3000
    retries: int = 2000
    delayed: int = 400
    pending: int = 1000
    in_flight: int = 100
    cancelled: int = 600
    requests: int = 300
    """Each with a parent and four steps."""


@dataclass(frozen=True, slots=True)
class Population:
    """What there is, and an example of each kind."""

    documents: list[Document]
    examples: dict[str, Document]


def populate(now: datetime, shares: Shares | None = None) -> Population:
    """All of it, the oldest first."""
    maker = _Maker(now, shares or Shares())
    documents = sorted(maker.documents(), key=lambda each: each["created_at"])
    return Population(documents, maker.examples)


class _Maker:
    def __init__(self, now: datetime, shares: Shares) -> None:
        self._now = now
        self._shares = shares
        self._random = Random(6)
        self._numbers = count()
        self.examples: dict[str, Document] = {}

    def documents(self) -> Iterator[Document]:
        shares = self._shares
        kinds = (
            ("completed", shares.completed, self._completed),
            ("failed", shares.failed, self._failed),
            ("retry", shares.retries, self._retry),
            ("delayed", shares.delayed, self._delayed),
            ("pending", shares.pending, lambda: self._context(Status.PENDING)),
            ("in flight", shares.in_flight, self._in_flight),
            ("cancelled", shares.cancelled, lambda: self._context(Status.CANCELLED)),
        )
        for name, how_many, make in kinds:
            made = [make() for _ in range(how_many)]
            self.examples[name] = made[-1]
            yield from made
        for _ in range(shares.requests):
            yield from self._request()
        yield from self._batch()

    # One context

    def _context(self, status: Status, **more: Any) -> Document:
        number, random = next(self._numbers), self._random
        created = self._now - SPAN * random.random()
        service = random.choice(SERVICES)
        fields = {
            "_id": f"ctx_{number:026d}",
            "service_type": service,
            "status": status,
            "priority": random.choice((1, 5, 5, 5, 10)),
            "template": Template(
                id=random.choice(TEMPLATES),
                service_type=service,
                service_template={"prompt": "Write to {{name}}. " * 20, "temperature": 0.2},
            ),
            "request": RequestData(
                id=f"req_{number:026d}",
                text="A letter for the customer, please",
                user_id=f"user-{number % 97}",
                data={"name": f"Customer {number}", "figures": [1.5, 2.25, 3.0] * 10},
            ),
            "tags": {"team": random.choice(TEAMS), "campaign": f"week-{number % 52}"},
            "created_at": created,
            "updated_at": created,
            "available_at": created,
            **more,
        }
        return Context.model_validate(fields).to_document()

    def _completed(self, **more: Any) -> Document:
        calls = self._random.choice((1, 1, 1, 1, 2, 3))
        ended = self._now - SPAN * self._random.random()
        attempts = [
            *(self._attempt(n, "retry", ended, ERRORS[n % 2]) for n in range(1, calls)),
            self._attempt(calls, "completed", ended),
        ]
        return self._context(
            Status.COMPLETED, results=REPLY, attempts=attempts, attempt=calls, completed_at=ended,
            created_at=ended - timedelta(minutes=calls), processed_by="generative-1@host-1", **more,
        )  # fmt: skip

    def _failed(self, **more: Any) -> Document:
        error, calls = self._random.choice(ERRORS), self._random.choice((1, 3, 20))
        ended = self._now - SPAN * self._random.random()
        attempts = [self._attempt(n, "failed" if n == calls else "retry", ended, error)
                    for n in range(1, calls + 1)]  # fmt: skip
        return self._context(
            Status.FAILED, error=_error(error), attempts=attempts, attempt=calls, failures=calls,
            completed_at=ended, created_at=ended - timedelta(minutes=2 * calls), **more,
        )  # fmt: skip

    def _retry(self) -> Document:
        error, calls = self._random.choice(ERRORS[:5]), self._random.randint(1, 12)
        reason = self._random.choice(("retry", "retry", "retry", "snooze", "crash"))
        attempts = [self._attempt(n, "retry", self._now, error) for n in range(1, calls + 1)]
        return self._context(
            Status.SCHEDULED, wait_reason=reason, error=_error(error), attempts=attempts,
            attempt=calls, failures=calls,
            available_at=self._now + timedelta(minutes=10 + self._random.randint(0, 600)),
        )  # fmt: skip

    def _delayed(self) -> Document:
        due = self._now + timedelta(hours=1 + 20 * self._random.random())
        return self._context(Status.SCHEDULED, wait_reason="delay", available_at=due)

    def _in_flight(self) -> Document:
        lease = {"owner": "generative-1@host-1", "claim_id": "claim_1", "token": "token",
                 "expires_at": self._now + timedelta(hours=10)}  # fmt: skip
        status = self._random.choice((Status.QUEUED, Status.PROCESSING))
        return self._context(status, lease=lease, attempt=1, started_at=self._now)

    def _attempt(
        self, number: int, outcome: str, ended: datetime, error: tuple[Any, ...] | None = None
    ) -> Document:
        milliseconds = self._random.randint(80, 9000)
        ended -= timedelta(minutes=20 - number)
        return {
            "number": number, "outcome": outcome, "worker": "generative-1@host-1",
            "started_at": ended - timedelta(milliseconds=milliseconds), "finished_at": ended,
            "duration_ms": milliseconds, "trace_id": f"{number:032x}",
            "error": _error(error) if error is not None else None,
        }  # fmt: skip

    # Families

    def _request(self) -> Iterator[Document]:
        parent = self._parent("REQUEST", steps=list(STEPS))
        parent_id = parent["_id"]
        ended = self._random.randint(0, len(STEPS))
        for place, key in enumerate(STEPS):
            after = [step_id(parent_id, STEPS[place - 1])] if place else []
            more = {"_id": step_id(parent_id, key), "parent_id": parent_id, "step": key,
                    "after": after}  # fmt: skip
            if place < ended:
                yield self._completed(**more)
            else:
                yield self._context(Status.PENDING if place == ended else Status.WAITING, **more)
        done = ended == len(STEPS)
        yield self._ended(parent, succeeded=ended, failed=0, total=len(STEPS), done=done)
        self.examples["request"] = parent

    def _batch(self) -> Iterator[Document]:
        parent = self._parent("BATCH", total=ITEMS)
        failed = completed = 0
        for row in range(ITEMS):
            more = {"_id": step_id(parent["_id"], f"{row:07d}"), "parent_id": parent["_id"]}
            if row % 10 == 0:
                failed += 1
                yield self._failed(**more)
            elif row % 10 < 8:
                completed += 1
                yield self._completed(**more)
            else:
                yield self._context(Status.PENDING, **more)
        yield self._ended(parent, succeeded=completed, failed=failed, total=ITEMS, done=False)
        self.examples["batch"] = parent

    def _parent(self, service_type: str, **more: Any) -> Document:
        made = self._context(Status.PROCESSING, kind="parent", **more)
        made |= {"_id": made["_id"].replace("ctx", "req"), "service_type": service_type}
        return made | {"available_at": None, "started_at": made["created_at"]}

    def _ended(
        self, parent: Document, *, succeeded: int, failed: int, total: int, done: bool
    ) -> Document:
        processed = succeeded + failed
        parent["results"] = {
            "progress": {
                "total": total, "processed": processed, "succeeded": succeeded, "failed": failed,
                "cancelled": 0, "percentage": round(100 * processed / total, 1),
            }
        }  # fmt: skip
        if done:
            parent |= {"status": str(Status.COMPLETED), "completed_at": self._now}
        return parent


def _error(of: tuple[Any, ...]) -> Document:
    kind, message, status_code, retryable = of
    return {
        "type": kind, "message": message, "status_code": status_code, "retryable": retryable,
        "fingerprint": fingerprint_of(kind, message),
    }  # fmt: skip


def schedules(now: datetime, how_many: int) -> Iterable[Document]:
    """Schedules as they are stored, all of them paused, so that none is due."""
    for number in range(how_many):
        yield {
            "_id": f"nightly-{number:03d}", "cron": f"{number % 60} 3 * * *",
            "timezone": "Europe/Berlin", "every_seconds": None, "start_at": None,
            "catch_up": "one", "paused": True, "next_at": None, "stored_at": now, "fired": number,
            "last_fired_at": now, "last_ids": [f"ctx_{number:026d}"], "last_error": None,
            "request": {"template": {"id": TEMPLATES[0]}, "data": {"week": number}},
        }  # fmt: skip


def deeds(now: datetime, how_many: int) -> Iterable[tuple[Document, Document]]:
    """Entries of the audit, each with its outcome."""
    for number in range(how_many):
        entry_id, at = f"aud_{number:026d}", now - timedelta(minutes=how_many - number)
        deed = {"_id": entry_id, "at": at, "who": ("ann", "ben")[number % 2], "what": "retry",
                "on": f"ctx_{number:026d}", "why": "the service is well again",
                "address": "192.0.2.7"}  # fmt: skip
        yield deed, {"_id": entry_id, "at": at, "count": 1, "error": None}
