"""The made-up system, written into two servers that are empty."""

from __future__ import annotations

import random

import redis

from agent.models import Document
from agent.projections.minutes import Minutes
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from bridge.views import Views
from scripts.screenshots import backlog, families, history, people
from scripts.screenshots.making import Maker
from scripts.screenshots.processes import write_gone

SEED = 17
AT_ONCE = 1000


def populate(
    repository: MongoContextRepository, client: redis.Redis, settings: Settings
) -> list[Document]:
    """Write all of it; what workers have in hand."""
    repository.create_indexes()
    maker = Maker(repository.now(), random.Random(SEED))
    running = backlog.running(maker)
    documents = [
        *backlog.completed(maker), *backlog.waiting(maker), *backlog.again(maker),
        *backlog.dead(maker), *backlog.examples(maker), *running,
        *families.report(maker), *families.batch(maker),
    ]  # fmt: skip
    for start in range(0, len(documents), AT_ONCE):
        repository.insert_contexts(documents[start : start + AT_ONCE])
    people.write_pause(repository, maker)
    people.write_audit(repository, maker)
    people.write_schedules(repository, maker)
    _write_queues(client, settings)
    write_gone(client, settings, maker.now)
    history.write_history(Minutes(client, settings.namespace), documents, maker.chance)
    Views(repository, client, settings).run()
    return [*running, *(each for each in documents[-families.ITEMS :] if "lease" in each)]


def _write_queues(client: redis.Redis, settings: Settings) -> None:
    """Messages that workers will take in a moment, and two that none could."""
    names = {service.name: service.queue for service in settings.registry.values()}
    for service, count in (("GENERATIVE", 6), ("COMMUNICATION", 2)):
        queue = f"{settings.dramatiq_namespace}:{names[service]}"
        client.rpush(queue, *(f"message-{number}" for number in range(count)))
    dead = f"{settings.dramatiq_namespace}:{names['GENERATIVE']}.XQ"
    client.zadd(dead, {"message-a": 1.0, "message-b": 2.0})
