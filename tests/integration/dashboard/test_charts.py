"""The charts of the overview, from the minutes in Redis."""

from __future__ import annotations

import time

import pytest
import redis

from agent.dashboard.routes import charts
from agent.projections.minutes import WIDTH, Minutes, Sample, count_in
from agent.settings import Settings
from tests.integration.dashboard.conftest import Meet, Person


@pytest.fixture
def minutes(client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Minutes:
    """25 minutes of ANALYSIS: in each 12 calls, of which 9 end well, and 30 that wait."""
    monkeypatch.setattr(charts, "KEPT_SECONDS", 0.0)
    minutes = Minutes(client, settings.namespace)
    present = int(minutes.now()) // 60
    row = [0] * WIDTH
    for number in range(12):
        count_in(row, "completed" if number < 9 else "failed", seconds=0.2)
    minutes.rebuild({("ANALYSIS", present - back): row for back in range(25)}, present)
    for back in range(25):
        minutes.sample(present - back, {"ANALYSIS": Sample(pending=30, in_flight=2)})
    return minutes


@pytest.mark.usefixtures("minutes")
def test_a_service_is_drawn_minute_by_minute(operator: Person) -> None:
    """Rates, latency and backlog are lists of one length; a service without calls is left out."""
    told = operator.get("/charts.json").json()
    assert [*told["services"]] == ["ANALYSIS"]
    drawn = told["services"]["ANALYSIS"]
    assert len({len(each) for each in drawn.values()}) == 1
    assert 58 <= len(drawn["starts"]) <= 60
    assert drawn["completed"][-1] == 9.0
    assert drawn["failed"][-1] == 3.0
    assert drawn["pending"][-1] == 30
    assert 0.1 <= drawn["p50"][-1] <= drawn["p95"][-1] <= 0.25
    assert abs(drawn["starts"][-1] - time.time()) < 600


@pytest.mark.usefixtures("minutes")
def test_the_last_day_is_told_in_fewer_points(operator: Person) -> None:
    """However long it was, an answer is small."""
    reply = operator.get("/charts.json?span=day")
    assert len(reply.json()["services"]["ANALYSIS"]["starts"]) <= 97
    assert len(reply.content) < 20_000
    assert operator.get("/charts.json?span=year").status_code == 400
    assert operator.get("?span=year").status_code == 400


@pytest.mark.usefixtures("minutes")
def test_the_same_stands_in_a_table_for_who_cannot_see_it(operator: Person) -> None:
    """Without JavaScript the page has every figure; its cards have those of the last minutes."""
    text = operator.get("?span=hour").text
    table = text.split("The same as a table")[1]
    assert '<td class="n">9</td><td class="n">3</td>' in table
    assert "GENERATIVE" in table.split("</table>")[1]
    card = text.split("<h2>ANALYSIS</h2>")[1].split("</article>")[0]
    assert "9 <small>a minute</small>" in card
    assert "3 <small>a minute</small>" in card
    assert 'style="' not in text


def test_charts_are_for_those_who_signed_in(meet: Meet) -> None:
    """Others are led to the form."""
    reply = meet().browser.get("/dashboard/charts.json", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (
        303, "/dashboard/login?next=/dashboard/charts.json",
    )  # fmt: skip
