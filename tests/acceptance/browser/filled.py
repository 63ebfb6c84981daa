"""A place with something of every kind in it, so that each page has something to show."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import redis

from agent.intake.schedules import Schedules, read_schedule
from agent.models import Document, Status, step_id
from agent.projections.presence import Presence, Running, WorkerView
from agent.settings import Settings
from agent.store.audit import Deed
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, a_lease, a_request

FAILURE = {"type": "ServiceUnavailable", "message": "answered 503 after 1.2 s",
           "fingerprint": "k503", "status_code": 503}  # fmt: skip
BODY = {"template": {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}}
REPLY = {"text": "Dear Ann, welcome.", "tokens": 17}
TRIED = "ctx_scheduled"
"""The one with several attempts."""


def a_retry(now: datetime, **fields: Any) -> Document:
    """A context that has failed three times, and is tried again in an hour."""
    return a_context(**{
        "status": "scheduled", "wait_reason": "retry", "fence": 3, "attempt": 3, "failures": 3,
        "created_at": now - timedelta(minutes=9), "available_at": now + timedelta(hours=1),
        "attempts": some_attempts(now, 3), **fields,
    })  # fmt: skip


def a_failure(now: datetime, **fields: Any) -> Document:
    """A context that has failed for good."""
    return a_context(**{
        "status": "failed", "fence": 1, "attempt": 1, "error": FAILURE, "completed_at": now,
        "created_at": now - timedelta(minutes=9), "attempts": some_attempts(now, 1), **fields,
    })  # fmt: skip


def some_attempts(now: datetime, count: int, **fields: Any) -> list[Document]:
    """Calls that have failed, two minutes after one another."""
    began = [now - timedelta(minutes=2 * (count - number)) for number in range(count)]
    return [
        {"number": number, "outcome": "retry", "error": FAILURE, "duration_ms": 1200,
         "started_at": at - timedelta(seconds=30), "finished_at": at - timedelta(seconds=28),
         "worker": "host-a:7", "trace_id": f"trace-{number}", **fields}
        for number, at in enumerate(began, 1)
    ]  # fmt: skip


def fill(repository: MongoContextRepository, client: redis.Redis, settings: Settings) -> None:
    """Store something of every kind; the lists in Redis are for a bridge to make."""
    now = repository.now()
    repository.insert_contexts([*_contexts(now), *_request(now), *_batch(now)])
    repository.pause_service("ANALYSIS", by="operator", reason="a new key (Ann)",
                             until=now + timedelta(minutes=15))  # fmt: skip
    repository.lead("bridge:host-a:3", timedelta(hours=1))
    for name in ("nightly", "paused"):
        Schedules.of(repository).add(
            read_schedule({"name": name, "cron": "0 3 * * *", "request": BODY})
        )
    Schedules.of(repository).pause("paused")
    for what, error in (("pause service", None), ("cancel", "only what is not final is cancelled")):
        deed = repository.note_deed(Deed("operator", what, "ANALYSIS", "a new key", "127.0.0.1"))
        repository.note_outcome(deed, count=0 if error else 1, error=error)
    _workers(client, settings)


def _contexts(now: datetime) -> list[Document]:
    """One of each status."""
    more: dict[Status, Document] = {
        Status.SCHEDULED: a_retry(now, tags={"team": "north"}, error=FAILURE),
        Status.FAILED: a_failure(now, service_type="ANALYSIS"),
        Status.COMPLETED: a_context(
            status="completed", fence=1, attempt=1, completed_at=now, results=REPLY,
            created_at=now - timedelta(minutes=4),
            attempts=some_attempts(now - timedelta(minutes=2), 1, outcome="completed", error=None),
            request=a_request(purpose_id="welcome", data={"api_key": "hush"}),
        ),
        Status.PROCESSING: a_context(
            status="processing", fence=1, attempt=1, lease=a_lease(),
            created_at=now - timedelta(minutes=1), started_at=now - timedelta(seconds=20),
        ),
        Status.QUEUED: a_context(status="queued", fence=1, lease=a_lease()),
        Status.WAITING: a_context(status="waiting", after=["ctx_pending"]),
    }  # fmt: skip
    return [
        {**more.get(status, a_context(status=status)), "_id": f"ctx_{status}"} for status in Status
    ]


def _parent(parent_id: str, kind: str, steps: list[str], now: datetime) -> Document:
    progress = {"total": len(steps), "processed": 2, "succeeded": 1, "failed": 1, "cancelled": 0,
                "percentage": 200 / len(steps)}  # fmt: skip
    parent = a_context(_id=parent_id, kind="parent", service_type=kind, status="processing",
                       fence=1, results={"progress": progress}, created_at=now)  # fmt: skip
    return {**parent, "total": len(steps), "steps": steps}


def _request(now: datetime) -> list[Document]:
    """Steps of which one has failed, so that two wait for it."""
    draft, check, send, tell = (
        step_id("req_1", key) for key in ("draft", "check", "send", "tell-everybody-about-it")
    )
    made = {"parent_id": "req_1", "created_at": now}
    return [
        _parent("req_1", "REQUEST", [draft, check, send, tell], now),
        a_context(_id=draft, step="draft", status="completed", fence=1, completed_at=now,
                  results=REPLY, **made),
        a_failure(now, _id=check, step="check", after=[draft], parent_id="req_1"),
        a_context(_id=send, step="send", status="waiting", after=[draft, check], **made),
        a_context(_id=tell, step="tell-everybody-about-it", status="waiting", after=[send], **made),
    ]  # fmt: skip


def _batch(now: datetime) -> list[Document]:
    """Items of which one has failed."""
    rows = [f"{row:07d}" for row in range(1, 4)]
    statuses = {rows[0]: "completed", rows[1]: "failed", rows[2]: "pending"}
    return [
        _parent("bat_1", "BATCH", rows, now),
        *(a_context(_id=step_id("bat_1", row), parent_id="bat_1", step=row, status=statuses[row],
                    fence=1, created_at=now, completed_at=None if row == rows[2] else now,
                    error=FAILURE if row == rows[1] else None)
          for row in rows),
    ]  # fmt: skip


def _workers(client: redis.Redis, settings: Settings) -> None:
    """One at work, one that drains, and one that has fallen silent with a context in hand."""
    presence = Presence(client, settings.namespace)
    for name, draining in (("alive", False), ("drains", True), ("gone", False)):
        presence.beat(
            WorkerView(name, ("GENERATIVE", "ANALYSIS"), 8, 1, f"host-{name}", 7, "1", draining,
                       "2030-01-01T00:00:00+00:00", [Running("ctx_processing", "GENERATIVE", 3.0)])
        )  # fmt: skip
    client.zincrby(f"{settings.namespace}:workers", -60, "gone")
