"""What several processes saw of a service, put together in Redis."""

from __future__ import annotations

from datetime import timedelta

import redis

from agent import outcomes
from agent.models import Claim, ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.projections.connection import connect_redis
from agent.projections.signals import Signals
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.judge import Judge
from agent.workers.running import Run

FORBIDDEN = outcomes.failed(ErrorRecord(type="Forbidden", message="no", status_code=403))
BUSY = outcomes.snooze(ErrorRecord(type="TooManyRequests", message="later", status_code=429))


class Process:
    """A process that notes what it sees, and asks what all have seen."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self.signals = Signals(settings.namespace)
        self.judge = Judge(self.signals, client, settings)

    def see(self, outcome: Outcome, context_id: str) -> None:
        self.judge.record(a_run(context_id), outcome, 0.1, 0.01)


def a_run(context_id: str) -> Run:
    return Run(
        Claim(context_id, 1, "claim_1"), "ANALYSIS", "token_1", "trace_1", timedelta(seconds=60)
    )


def test_five_403s_in_a_row_are_counted_over_all_processes(
    settings: Settings, repository: MongoContextRepository
) -> None:
    """Each sees a few only; the fifth context waits, whichever process has it."""
    client = connect_redis(settings, max_connections=4)
    first, second = Process(settings, client), Process(settings, client)
    kinds = []
    for number in range(5):
        process = (first, second)[number % 2]
        process.see(FORBIDDEN, f"ctx_{number}")
        outcome = process.judge.weigh(a_run(f"ctx_{number}"), FORBIDDEN, repository.now())
        kinds.append(outcome.kind)
    client.close()
    assert kinds == [Kind.FAILED] * 4 + [Kind.SNOOZE]


def test_a_success_anywhere_shows_who_is_refused_alone(
    settings: Settings, repository: MongoContextRepository
) -> None:
    """Another process got through since this context was refused: it is at fault itself."""
    client = connect_redis(settings, max_connections=4)
    first, second = Process(settings, client), Process(settings, client)
    now = repository.now()
    refused = a_run("ctx_1")
    refused.document = {
        "snoozes": 1, "attempts": [{"outcome": "snooze", "finished_at": now - timedelta(seconds=9)}]
    }  # fmt: skip
    assert second.judge.weigh(refused, BUSY, now).kind == Kind.SNOOZE
    first.see(outcomes.completed({}), "ctx_2")
    first.signals.flush(client)
    assert second.judge.weigh(refused, BUSY, now).kind == Kind.RETRY
    client.close()
