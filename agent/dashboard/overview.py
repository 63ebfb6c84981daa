"""`/dashboard`: how it is going, and what is wrong."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.dashboard.charts import PATH, SPANS, Charts, Span, Table, charts_router, span_of
from agent.dashboard.house import House
from agent.dashboard.pages import HOME
from agent.dashboard.troubles import troubles
from agent.errors import BrokerUnavailable


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
            table=_table(charts, span), span=span.word, spans=[*SPANS],
            charts=f"{PATH}?span={span.word}",
        )  # fmt: skip

    return router


def _table(charts: Charts, span: Span) -> Table | None:
    """None while Redis is away, which the page says on its top."""
    try:
        return charts.table(span)
    except BrokerUnavailable:
        return None
