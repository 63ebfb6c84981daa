"""The charts of the overview: the last hour or day of each service, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.api.health import Cached
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.seen.recent import charted, is_idle
from agent.errors import RequestInvalid
from agent.projections.minute_view import DAY, HOUR, MINUTE, Series, read_minutes

PATH = f"{HOME}/charts.json"
KEPT_SECONDS = 5.0
"""However many pages are open, Redis is asked once in that time."""


@dataclass(frozen=True, slots=True)
class Span:
    """How far back, and what one point, and one row of the table, stands for."""

    word: str
    since: timedelta
    step: timedelta
    row: timedelta


SPANS = {
    "hour": Span("hour", HOUR, MINUTE, 10 * MINUTE),
    "day": Span("day", DAY, 15 * MINUTE, 2 * HOUR),
}


@dataclass(frozen=True, slots=True)
class Table:
    """The same in words: by service its rows, the newest first, and the services without any."""

    rows: dict[str, list[dict[str, Any]]]
    idle: list[str]
    is_exact: bool


class Charts:
    """What was read, kept for a moment and shared by all who look."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._points = {
            name: Cached(partial(self._read_points, each), seconds=KEPT_SECONDS)
            for name, each in SPANS.items()
        }
        self._tables = {
            name: Cached(partial(self._read_table, each), seconds=KEPT_SECONDS)
            for name, each in SPANS.items()
        }

    def points(self, span: Span) -> dict[str, Any]:
        """For the charts.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return self._points[span.word]()

    def table(self, span: Span) -> Table:
        """For people who read it as a table.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        return self._tables[span.word]()

    def _read(self, since: timedelta, step: timedelta) -> dict[str, Series]:
        settings = self._house.settings
        return read_minutes(
            self._house.client, settings.namespace, [*settings.registry], since, step=step
        )

    def _read_points(self, span: Span) -> dict[str, Any]:
        found, now = self._read(span.since, span.step), self._house.redis_now().timestamp()
        width = round(span.step / MINUTE)
        return {
            "is_exact": all(each.is_exact for each in found.values()),
            "services": {
                name: charted(each, width, now) for name, each in found.items() if not is_idle(each)
            },
        }

    def _read_table(self, span: Span) -> Table:
        found, now = self._read(span.since, span.row), self._house.redis_now().timestamp()
        width = round(span.row / MINUTE)
        busy = {name: each for name, each in found.items() if not is_idle(each)}
        return Table(
            {name: _rows(charted(each, width, now)) for name, each in busy.items()},
            [name for name in found if name not in busy],
            all(each.is_exact for each in found.values()),
        )


def _rows(points: dict[str, Any]) -> list[dict[str, Any]]:
    names = list(points)
    return [dict(zip(names, row, strict=True)) for row in zip(*points.values(), strict=True)][::-1]


def span_of(word: str) -> Span:
    """The span that an address names.

    Raises:
        RequestInvalid: there is none of that name.
    """
    if word not in SPANS:
        raise RequestInvalid(f"The charts show the last {' or the last '.join(SPANS)}.")
    return SPANS[word]


def charts_router(charts: Charts) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get(PATH)
    def points(request: Request) -> Response:
        return JSONResponse(charts.points(span_of(request.query_params.get("span", "hour"))))

    return router
