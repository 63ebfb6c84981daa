"""`/dashboard/workers`: which processes live, what each runs, and what those left that died."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.api.health import Cached
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.seen.hands import MOST_ASKED, MOST_LISTED, InHand, ids_of, in_hand, word_of
from agent.dashboard.seen.look import silent
from agent.errors import BrokerUnavailable, StoreUnavailable
from agent.projections.bridges import Bridges
from agent.projections.presence import LIVE, Presence, WorkerView

KEPT_SECONDS = 2.0
"""However many pages are open, servers are asked once in that time."""
MOST_RUNNING = 20
"""Contexts of one process that are listed."""
MOST_WORKERS = 60


@dataclass(frozen=True, slots=True)
class Gone:
    """A process that fell silent.

    Args:
        left: what it had in hand; None while MongoDB does not answer.
    """

    worker: WorkerView
    left: list[InHand] | None


@dataclass(frozen=True, slots=True)
class Seen:
    """All processes at one moment of the database's clock."""

    now: datetime | None
    living: list[WorkerView]
    gone: list[Gone]


def workers_router(house: House) -> APIRouter:
    """The route."""
    router = APIRouter()
    workers_seen = Cached(Workers(house).see, seconds=KEPT_SECONDS)

    @router.get(f"{HOME}/workers")
    def workers(request: Request) -> Response:
        return house.pages.render(
            request, "workers.html", seen=workers_seen(), word_of=word_of, most_left=MOST_LISTED,
            most_running=MOST_RUNNING, most=MOST_WORKERS,
        )  # fmt: skip

    return router


class Workers:
    """Asks both servers; MongoDB only where a process died, and then two questions."""

    def __init__(self, house: House) -> None:
        namespace = house.settings.namespace
        self._repository = house.repository
        self._presence = Presence(house.client, namespace)
        self._bridges = Bridges(house.client, namespace)

    def see(self) -> Seen | None:
        """One look; None while Redis is away."""
        try:
            known = self._presence.all()
            living = [each for each in known if each.beat_age_seconds <= LIVE.total_seconds()]
            living.sort(key=lambda each: (each.host, each.pid, each.worker_id))
            gone = silent(known, living)[: -MOST_WORKERS - 1 : -1]  # the last to fall silent first
            leads = bool(gone) and any(each.leads and each.is_alive for each in self._bridges.all())
        except BrokerUnavailable:
            return None
        now, left = self._left_by(gone, leads=leads)
        return Seen(
            now,
            living,
            [Gone(each, None if left is None else left[each.worker_id]) for each in gone],
        )

    def _left_by(
        self, gone: list[WorkerView], *, leads: bool
    ) -> tuple[datetime | None, dict[str, list[InHand]] | None]:
        """By worker, what it had in hand, and when that was asked."""
        if not gone:
            return None, {}
        try:
            documents = self._repository.held_by([each.worker_id for each in gone], MOST_ASKED)
            documents += self._repository.fates_of(asked := ids_of(gone))
            now = self._repository.now()
        except StoreUnavailable:
            return None, None
        return now, {
            each.worker_id: in_hand(each, documents, now, asked=asked, leads=leads) for each in gone
        }
