"""`/dashboard`: how it is going, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.routes.charts import PATH, SPANS, Charts, Span, Table, charts_router, span_of
from agent.dashboard.seen.troubles import troubles
from agent.dashboard.words import About
from agent.errors import BrokerUnavailable
from agent.models import FINAL

MOST_BESIDE = 20
"""Other programs may have written any number of service types."""


def overview_router(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter()
    charts = Charts(house)
    router.include_router(charts_router(charts))

    @router.get(HOME)
    def overview(request: Request) -> Response:
        span = span_of(request.query_params.get("span", "hour"))
        seen = house.look()
        return house.pages.render(
            request, "overview.html", look=seen, troubles=list(troubles(seen)), now=seen.now,
            beside={name: beside(seen.others[name]) for name in [*seen.others][:MOST_BESIDE]},
            is_new=not seen.others and all(is_nothing(each.counts) for each in seen.services),
            table=_table(charts, span), span=span.word, spans=[*SPANS],
            charts=f"{PATH}?span={span.word}",
        )  # fmt: skip

    return router


def is_nothing(counts: Mapping[str, int | None]) -> bool:
    """Whether it is known that there is nothing."""
    return all(each == 0 for each in counts.values())


def beside(counts: Mapping[str, int | None]) -> dict[str, int | None]:
    """Of what belongs to no service: how many are open, and how many have ended how."""
    going_on = [each for name, each in counts.items() if name not in FINAL and each is not None]
    is_about = any(isinstance(each, About) and each for each in going_on)
    ended = {str(name): counts.get(name, 0) for name in sorted(FINAL)}
    return {"open": About(sum(going_on)) if is_about else sum(going_on), **ended}


def _table(charts: Charts, span: Span) -> Table | None:
    """None while Redis is away, which the page says on its top."""
    try:
        return charts.table(span)
    except BrokerUnavailable:
        return None
