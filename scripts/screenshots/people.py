"""What people and the breaker did lately: a pause, entries of the audit, schedules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.intake.schedules import Schedules, read_schedule
from agent.store.audit import Deed
from agent.store.mongo_context_repository import MongoContextRepository
from scripts.screenshots.backlog import DEAD_ID, MINUTE, OUTAGE
from scripts.screenshots.making import Maker, seconds
from scripts.screenshots.works import FORECAST, INVOICE, SUMMARY, Work

DEEDS: tuple[tuple[float, Deed, int], ...] = (
    (3, Deed("ann", "postpone by 15 minutes", "retries of ANALYSIS", "their deployment runs"), 38),
    (9, Deed("ann", "pause schedule", "churn-nightly", "no need while ANALYSIS is away"), 1),
    (31, Deed("bo", "retry", DEAD_ID, "the customer called"), 1),
    (52, Deed("ann", "retry all of a kind", "GENERATIVE, ServiceRejected", "the limit is up"), 212),
    (55, Deed("ann", "retry all of a kind", "GENERATIVE, ServiceRejected", "a try before that"), 5),
    (128, Deed("bo", "resume", "COMMUNICATION", "the provider is back"), 1),
    (147, Deed("bo", "pause", "COMMUNICATION", "the provider mends its mail server"), 1),
    (391, Deed("cleo", "cancel", "ctx_01KB7E5W8D1N3J6QZ0K2RXVTYM", "sent twice by mistake"), 1),
)  # fmt: skip
"""How many minutes ago, what, to how many."""


def write_pause(repository: MongoContextRepository, maker: Maker) -> None:
    """The breaker has opened a moment ago."""
    repository.pause_service(
        "ANALYSIS", by="breaker", reason="173 of 180 calls failed lately",
        until=maker.now + timedelta(minutes=4), trips=4,
    )  # fmt: skip
    since = maker.now - seconds(OUTAGE - 90)
    repository.database["services"].update_one(
        {"_id": "ANALYSIS"}, {"$set": {"pause.since": since}}
    )


def write_audit(repository: MongoContextRepository, maker: Maker) -> None:
    """What people did, the last of it first."""
    for minutes, deed, count in reversed(DEEDS):
        entry_id = repository.note_deed(deed._replace(address="10.4.0.17"))
        repository.note_outcome(entry_id, count=count)
        at = maker.now - seconds(minutes * MINUTE)
        repository.database["audit"].update_one({"_id": entry_id}, {"$set": {"at": at}})


def write_schedules(repository: MongoContextRepository, maker: Maker) -> None:
    """Three, of which one is paused."""
    schedules = Schedules.of(repository)
    for name, work, rule in (
        ("invoices-monthly", INVOICE, {"cron": "0 6 1 * *", "timezone": "Europe/Vienna"}),
        ("churn-nightly", FORECAST, {"cron": "30 2 * * *", "timezone": "UTC"}),
        ("ticket-digest", SUMMARY, {"every_seconds": 900.0}),
    ):
        schedules.add(read_schedule({"name": name, "request": _request(work, maker), **rule}))
    repository.database["schedules"].update_many(
        {}, {"$set": {"fired": 41, "last_fired_at": maker.now - timedelta(minutes=11)}}
    )
    schedules.pause("churn-nightly")


def _request(work: Work, maker: Maker) -> dict[str, Any]:
    template = {"service_type": work.service_type, "service_template": work.body}
    return {"template": template, "data": work.data(maker.chance)}
