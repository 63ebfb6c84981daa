"""What decides about a context beside itself, asked of both servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import redis

from agent.admission.why import Surroundings, why
from agent.errors import BrokerUnavailable
from agent.models import PARENT, Document
from agent.projections.presence import Presence, WorkerView, threads_by_service
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.parents import in_template_order


def why_of(repository: MongoContextRepository, client: redis.Redis, document: Document) -> str:
    """Why a context is where it is, in one sentence.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    steps = steps_of(repository, document)
    return why(document, surroundings(repository, client, document, steps))


def steps_of(repository: MongoContextRepository, document: Document) -> list[Document]:
    """The children of a parent without their payload, in the order in which its template lists
    them; of any other context none."""
    if document.get("kind") != PARENT:
        return []
    return in_template_order(document, repository.children_of(document["_id"]))


def surroundings(
    repository: MongoContextRepository,
    client: redis.Redis,
    document: Document,
    steps: Sequence[Document] = (),
) -> Surroundings:
    """What there is around a context, as far as it can be asked.

    Args:
        steps: of a parent.

    Raises:
        StoreUnavailable: MongoDB did not answer.
    """
    settings = repository.settings
    name = str(document.get("service_type"))
    registry = settings.registry
    # under the exact name alone it is claimed
    service = registry.find(name) if name in registry else None
    state = repository.service_states().get(name)
    workers = living_workers(client, settings)
    return Surroundings(
        now=repository.now(),
        leads=repository.leader() is not None,
        pause=state.pause if state is not None else None,
        threads=None if workers is None else threads_by_service(workers).get(name, 0),
        in_flight=calls_in_flight(repository)[name],
        limit=settings.service(service).max_in_flight if service is not None else None,
        steps=[(key_of(each), str(each.get("status"))) for each in steps]
        or repository.statuses_before(document),
    )


def key_of(step: Document) -> str:
    """By what a child is known among the others of its parent."""
    return str(step.get("step") or step["_id"])


def living_workers(client: redis.Redis, settings: Settings) -> list[WorkerView] | None:
    """The living worker processes; None while Redis is away."""
    try:
        return Presence(client, settings.namespace).live()
    except BrokerUnavailable:
        return None


def calls_in_flight(repository: MongoContextRepository) -> Counter[str]:
    """How many calls of each service are queued or processing."""
    found: Counter[str] = Counter()
    for row in repository.in_flight():
        if not row.polls:
            found[row.service_type] += row.count
    return found
