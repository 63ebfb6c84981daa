"""`/dashboard/bridge`: which one leads, which stand by, and how the leader's duties go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.errors import BrokerUnavailable
from agent.projections.bridges import Bridges, BridgeView, DutyView

DOES: Mapping[str, str] = {
    "look": "looks whether anything is pending or due",
    "promote": "makes pending what is due",
    "adopt": "takes over documents of other programs",
    "admit": "claims what may run, and enqueues it",
    "settle": "moves requests on whose steps have ended, and stores deliveries to callback URLs",
    "batches": "expands batches into contexts",
    "schedules": "makes requests of schedules that are due",
    "rescue": "takes back contexts whose lease ran out",
    "recovery": "enqueues again what Redis lost, and what dead workers had fetched",
    "sweep": "fails what is past its deadline",
    "adopt thoroughly": "looks for documents of other programs that nobody told of",
    "views": "keeps the lists and minutes in Redis true",
    "flush": "writes what it counted",
}
"""The duties in the order of their weight; one that is not named here comes last."""
PATIENCE = 10.0
"""A duty that comes by itself is late when it has missed a few turns, and this many seconds."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The bridges as the page shows them.

    Args:
        leader: what the one that leads by MongoDB says of itself; None where that is not known.
        standbys: those that are alive and do not lead, by host.
        silent: those that fell silent lately.
    """

    leader: BridgeView | None
    standbys: list[BridgeView]
    silent: list[BridgeView]


def bridge_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    bridges = Bridges(house.client, house.settings.namespace)

    @router.get(f"{HOME}/bridge")
    def bridge(request: Request) -> Response:
        seen = house.look()
        shown = _shown(bridges, None if seen.leader is None else str(seen.leader["owner"]))
        duties = [] if shown is None or shown.leader is None else in_order(shown.leader.duties)
        return house.pages.render(
            request, "bridge.html", look=seen, leader=seen.leader, now=seen.now,
            shown=shown, duties=duties, does=DOES, is_late=is_late,
        )  # fmt: skip

    return router


def _shown(bridges: Bridges, leader: str | None) -> Shown | None:
    """None while Redis is away."""
    try:
        return shown_of(bridges.all(), leader)
    except BrokerUnavailable:
        return None


def shown_of(known: Sequence[BridgeView], leader: str | None) -> Shown:
    """Who leads is for MongoDB to say, by its owner."""
    others = sorted((each for each in known if each.owner != leader), key=_place)
    return Shown(
        next((each for each in known if each.owner == leader), None),
        [each for each in others if each.is_alive],
        [each for each in others if not each.is_alive],
    )


def in_order(duties: Sequence[DutyView]) -> list[DutyView]:
    """Duties in the order of their weight."""
    places = {name: place for place, name in enumerate(DOES)}
    return sorted(duties, key=lambda each: (places.get(each.name, len(places)), each.name))


def is_late(duty: DutyView) -> bool:
    """Whether a duty that comes by itself has not come for long."""
    if duty.every_seconds is None or duty.age_seconds is None:
        return False
    return duty.age_seconds > 3 * duty.every_seconds + PATIENCE


def _place(each: BridgeView) -> tuple[str, int, str]:
    return each.host, each.pid, each.owner
