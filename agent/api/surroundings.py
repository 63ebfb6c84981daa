"""What decides about a context beside itself, as far as it can be asked."""

from __future__ import annotations

from collections import Counter

from agent.admission.why import Surroundings, why
from agent.api.answers import in_order, is_parent
from agent.api.doors import Doors
from agent.errors import BrokerUnavailable
from agent.models import Document
from agent.projections.presence import Presence, WorkerView, threads_by_service


def why_of(doors: Doors, document: Document) -> str:
    """Why a context is where it is, in one sentence."""
    return why(document, _surroundings(doors, document))


def living_workers(doors: Doors) -> list[WorkerView] | None:
    """The living worker processes; None while Redis is away."""
    try:
        return Presence(doors.client, doors.settings.namespace).live()
    except BrokerUnavailable:
        return None


def calls_in_flight(doors: Doors) -> Counter[str]:
    """How many calls of each service are queued or processing."""
    found: Counter[str] = Counter()
    for row in doors.repository.in_flight():
        if not row.polls:
            found[row.service_type] += row.count
    return found


def _surroundings(doors: Doors, document: Document) -> Surroundings:
    repository, registry = doors.repository, doors.settings.registry
    name = str(document.get("service_type"))
    service = registry.get(name)
    state = repository.service_states().get(name)
    workers = living_workers(doors)
    children = (
        in_order(document, repository.children_of(document["_id"])) if is_parent(document) else []
    )
    return Surroundings(
        now=repository.now(),
        leads=repository.leader() is not None,
        pause=state.pause if state is not None else None,
        threads=None if workers is None else threads_by_service(workers).get(name, 0),
        in_flight=calls_in_flight(doors)[name],
        limit=doors.settings.service(service).max_in_flight if service is not None else None,
        steps=[(str(each.get("step") or each["_id"]), str(each.get("status"))) for each in children]
        or repository.statuses_before(document),
    )
