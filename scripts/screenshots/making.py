"""Contexts that never were: as the store's own writes would have left them behind. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.fingerprint import fingerprint_of
from agent.models import Context, Document, ErrorRecord
from scripts.screenshots.works import PASSING, Work

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
WORKERS = {"GENERATIVE": "gen-7c9f", "ANALYSIS": "ana-51d2", "COMMUNICATION": "com-0b3e"}


def seconds(value: float) -> timedelta:
    """A shorter word for it."""
    return timedelta(seconds=value)


def worker_of(service_type: str, process: int = 1) -> str:
    """The id of a worker process."""
    return f"worker:{WORKERS[service_type]}-{process}:{40 + process}:1f6c{process:04d}"


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt to be: when it began, counted from the making of its context, and its end."""

    at: float
    took: float
    outcome: str
    error: ErrorRecord | None = None


class Maker:
    """Makes them, the same every time.

    Args:
        now: by MongoDB's clock.
    """

    def __init__(self, now: datetime, chance: random.Random) -> None:
        self.now = now
        self.chance = chance

    def new_id(self, prefix: str = "ctx") -> str:
        """An id that looks like any other."""
        return f"{prefix}_01KB" + "".join(self.chance.choice(DIGITS) for _ in range(22))

    def took(self, work: Work) -> float:
        """How long a call of this takes: most about the same, some much longer."""
        return work.seconds * self.chance.lognormvariate(0, 0.35)

    def context(
        self, work: Work, status: str, age: float, calls: tuple[Call, ...] = (), **fields: Any
    ) -> Document:
        """A context that was made `age` seconds ago, with its calls so far."""
        made = self.now - seconds(age)
        data = work.data(self.chance)
        failures = sum(call.outcome in ("retry", "failed") for call in calls)
        last = made + seconds(max((call.at + call.took for call in calls), default=0.0))
        values: dict[str, Any] = {
            "_id": self.new_id(),
            "service_type": work.service_type,
            "status": status,
            "template": {"id": work.template_id, "version": "3", "service_template": work.body,
                         "service_type": work.service_type},
            "request": {"id": self.new_id("req"), "data": data,
                        "user_id": f"user:{self.chance.randint(1, 900)}"},
            "tags": work.tags,
            "priority": self.chance.choice((3, 5, 5, 5, 7)),
            "created_at": made, "updated_at": last, "available_at": made,
            "fence": len(calls), "attempt": len(calls), "failures": failures,
            "attempts": [self._attempt(work, made, number, call)
                         for number, call in enumerate(calls, 1)],
        }  # fmt: skip
        if calls:
            values["started_at"] = made + seconds(calls[-1].at)
        if status in ("completed", "failed"):
            values["completed_at"] = last
            values["processed_by"] = worker_of(work.service_type)
        if status == "completed":
            values["results"] = {"success": True, **work.results(data)}
        if status == "failed":
            values["error"] = _kept(calls[-1].error)
        return Context.model_validate({**values, **fields}).to_document()

    def completed(self, work: Work, age: float) -> Document:
        """By its first call, or by its second."""
        took = self.took(work)
        wait = self.chance.uniform(0.05, 0.6)
        calls: tuple[Call, ...] = (Call(wait, took, "completed"),)
        if self.chance.random() < 0.03:
            error = self.chance.choice(PASSING[work.service_type])
            calls = (Call(wait, took, "retry", error),
                     Call(wait + took + self.chance.uniform(1, 3), took, "completed"))  # fmt: skip
        return self.context(work, "completed", age, calls)

    def failed(self, work: Work, age: float, error: ErrorRecord) -> Document:
        """By its first call, for good."""
        return self.context(work, "failed", age, (Call(0.3, self.took(work), "failed", error),))

    def again(self, work: Work, age: float, due: float, error: ErrorRecord, calls: int) -> Document:
        """Scheduled: tried so many times, and to be tried again in `due` seconds."""
        outcome = "snooze" if error.type == "TooManyRequests" else "retry"
        step = age / (calls + 1)
        tried = tuple(
            Call(0.4 + number * step, self.took(work), outcome, error) for number in range(calls)
        )
        return self.context(
            work, "scheduled", age, tried, wait_reason=outcome,
            available_at=self.now + seconds(due), snoozes=calls if outcome == "snooze" else 0,
        )  # fmt: skip

    def running(self, work: Work, since: float, process: int = 1, **fields: Any) -> Document:
        """In the hands of a worker for so many seconds."""
        held = {"owner": worker_of(work.service_type, process), "claim_id": "claim_1",
                "token": "t", "expires_at": self.now + timedelta(hours=1)}  # fmt: skip
        return self.context(
            work, "processing", since + 0.8, fence=1, attempt=1, lease=held,
            started_at=self.now - seconds(since), updated_at=self.now - seconds(since), **fields,
        )  # fmt: skip

    def _attempt(self, work: Work, made: datetime, number: int, call: Call) -> dict[str, Any]:
        began = made + seconds(call.at)
        return {
            "number": number, "started_at": began, "finished_at": began + seconds(call.took),
            "worker": worker_of(work.service_type), "outcome": call.outcome,
            "error": _kept(call.error), "duration_ms": round(call.took * 1000), "fence": number,
            "trace_id": f"{self.chance.getrandbits(128):032x}",
        }  # fmt: skip


def _kept(error: ErrorRecord | None) -> ErrorRecord | None:
    """As it is stored: with its kind."""
    if error is None:
        return None
    return error.model_copy(update={"fingerprint": fingerprint_of(error.type, error.message)})
