"""The last minutes as figures, as charts, and as words when they are bad."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.admission.gate import GateState
from agent.dashboard.seen.look import Look, ServiceView
from agent.dashboard.seen.recent import Recent, charted, is_idle, recent_of
from agent.dashboard.seen.troubles import troubles
from agent.projections.minute_view import Series
from agent.settings import ServiceSettings
from agent.store.services import Pause
from tests.factories import LONG_AGO

BEGAN = 1_700_000_040


def a_series(**fields: list[int] | list[float | None] | list[dict[str, int]]) -> Series:
    """Eight minutes, of which the last one goes on."""
    none = [0] * 8
    given = dict.fromkeys(("completed", "failed", "retried", "calls"), none)
    unknown: dict[str, list[int | None]] = {
        name: [None] * 8 for name in ("p50", "p95", "pending", "scheduled", "in_flight")
    }
    starts = [BEGAN + 60 * each for each in range(8)]
    return Series(**{**given, **unknown, "starts": starts, "is_exact": True, **fields})  # type: ignore[arg-type]  # by name


def test_figures_are_of_the_last_whole_minutes() -> None:
    """What happened before, and in the minute that goes on, does not count."""
    found = recent_of(a_series(
        completed=[99, 99, 1, 2, 3, 4, 5, 99], failed=[9, 9, 0, 0, 0, 0, 10, 99],
        retried=[9, 9, 0, 0, 0, 0, 5, 99], calls=[99, 99, 1, 2, 3, 4, 20, 99],
        p50=[None, None, 0.5, None, None, None, 2.0, None],
    ))  # fmt: skip
    assert (found.completed, found.failed) == (3.0, 2.0)
    assert (found.calls, found.bad, found.bad_share) == (30, 15, 0.5)
    assert (found.p50, found.p95) == (2.0, None)


def test_answers_are_of_the_same_minutes_and_throttling_of_now() -> None:
    """What was answered most often beside what went well is told first."""
    replies: list[dict[str, int]] = [{"503": 99}] * 2 + [{"2xx": 3, "503": 2}, {"timeout": 4}]
    replies += [{}, {}, {"429": 1}, {"429": 5, "2xx": 6}]
    found = recent_of(a_series(replies=replies))
    assert found.replies == {"2xx": 3, "503": 2, "timeout": 4, "429": 1}
    assert found.worst == ("timeout", 0.4)
    assert found.throttled == 0.5
    few = recent_of(a_series(replies=[{}] * 7 + [{"429": 9}]))
    assert few.throttled == 0.0, "nine calls say nothing"
    assert recent_of(a_series()).worst[1] == recent_of(a_series()).throttled == 0.0


def test_no_calls_are_no_failures() -> None:
    """There is nothing to divide by."""
    assert recent_of(a_series()).bad_share == 0.0


@pytest.mark.parametrize(("seconds", "length"), [(7 * 60 + 30, 7), (8 * 60, 8)])
def test_a_chart_has_no_step_that_has_only_just_begun(seconds: int, length: int) -> None:
    """It would look like a fall of everything."""
    drawn = charted(a_series(completed=[6] * 8), 1, BEGAN + seconds)
    assert drawn["completed"] == [6.0] * length
    assert {name: len(each) for name, each in drawn.items()} == dict.fromkeys(drawn, length)


def test_a_long_step_that_goes_on_counts_by_the_minutes_it_has() -> None:
    """A rate is a minute's, however long a step is."""
    drawn = charted(a_series(completed=[150] * 8), 15, BEGAN + 7 * 60 + 300)
    assert drawn["completed"] == [10.0] * 7 + [30.0]


def test_a_service_without_anything_is_not_drawn() -> None:
    """Neither calls nor anything that waits."""
    assert is_idle(a_series(pending=[0] * 8))
    assert not is_idle(a_series(pending=[0] * 7 + [1]))
    assert not is_idle(a_series(calls=[1] + [0] * 7))


def a_service(**fields: object) -> ServiceView:
    """A service that is well."""
    well = ServiceView(
        name="ANALYSIS", settings=ServiceSettings(), state=GateState.OPEN, pause=None,
        counts={"pending": 7}, oldest=LONG_AGO, in_flight=0, workers=1, threads=8, queue=None,
        recent=Recent(calls=100, bad=2),
    )  # fmt: skip
    return replace(well, **fields)


def said(service: ServiceView, *, leads: bool = True, redis: bool = True) -> list[str]:
    now = LONG_AGO + timedelta(seconds=5)
    seen = Look(now, [service], {"owner": "b"} if leads else None, [] if redis else None, {})
    return [each.says for each in troubles(seen)]


PAUSE = Pause("ANALYSIS", by="ann", reason="a new key", since=LONG_AGO, until=None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"recent": None}, []),
        ({"recent": Recent(calls=9, bad=9)}, []),
        ({"recent": Recent(calls=50, bad=48)},
         ["96% of the 50 calls to ANALYSIS in the last 5 minutes brought no result; 7 contexts "
          "wait."]),
        ({"recent": Recent(calls=50, bad=48, replies={"2xx": 2, "503": 48})},
         ["ANALYSIS answered 503 to 96% of its 50 calls in the last 5 minutes; 7 contexts wait."]),
        ({"recent": Recent(calls=50, bad=48, replies={"2xx": 2, "timeout": 48})},
         ["96% of the 50 calls to ANALYSIS in the last 5 minutes brought no result: timeout; 7 "
          "contexts wait."]),
        ({"recent": Recent(calls=50, bad=48, replies={"2xx": 2, "timeout": 24, "503": 24})},
         ["96% of the 50 calls to ANALYSIS in the last 5 minutes brought no result; 7 contexts "
          "wait."]),
        ({"recent": Recent(calls=100, bad=10, throttled=0.1)},
         ["ANALYSIS answers 429 to 10% of its calls: it is asked for more than it takes; 7 "
          "contexts wait."]),
        ({"pause": PAUSE, "state": GateState.PAUSED},
         ["ANALYSIS has been paused by ann for 5.0 s: a new key; 7 contexts wait."]),
        ({"workers": 0, "counts": {"pending": 1}},
         ["No worker is alive for ANALYSIS; 1 context waits."]),
        ({"workers": 0, "counts": {}, "oldest": None}, []),
        ({"oldest": LONG_AGO - timedelta(minutes=30)},
         ["The oldest context of ANALYSIS has been due for 30 min; 7 contexts wait."]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_plain_words(
    fields: dict[str, object], expected: list[str]
) -> None:
    """And nothing where all is well, or too little is known."""
    assert said(a_service(**fields)) == expected


def test_what_keeps_everything_back_is_said_first() -> None:
    """No Redis, then no leader."""
    told = said(a_service(), leads=False, redis=False)
    assert [each.split(":")[0] for each in told] == [
        "Redis does not answer",
        "No bridge leads, so nothing starts except by workers that run alone.",
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "open"),
        ({"recent": None}, "open"),
        ({"recent": Recent(throttled=0.04)}, "open"),
        ({"recent": Recent(throttled=0.05)}, "throttled"),
        ({"name": "WEBHOOK", "recent": Recent(throttled=0.5)}, "open"),
        ({"pause": PAUSE, "state": GateState.PAUSED, "recent": Recent(throttled=1.0)}, "paused"),
        ({"pause": replace(PAUSE, by="retry-after"), "state": GateState.PAUSED}, "throttled"),
        ({"pause": replace(PAUSE, by="retry-after"), "state": GateState.PROBING}, "probing"),
    ],
)
def test_a_service_that_asks_for_less_is_throttled(
    fields: dict[str, object], expected: str
) -> None:
    """By a pause that it asked for, or by answering 429; who pauses it otherwise says so."""
    assert a_service(**fields).word == expected
