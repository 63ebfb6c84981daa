"""Any graph of steps, with any outcomes, comes to what a small model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.duties.requests import Requests

Graph = Mapping[str, tuple[str, ...]]
KEYS = "abcdef"


@dataclass(frozen=True)
class Play:
    """A request, and what happens to it.

    Args:
        fails: steps whose first call fails.
        goes_on: steps whose failure stops nobody.
        cancelled_after: after so many calls somebody cancels the whole; None for nobody.
        retries: how what failed is tried again: the whole, or step by step.
    """

    graph: Graph
    fails: frozenset[str]
    goes_on: frozenset[str]
    cancelled_after: int | None
    retries: str
    order: list[int] = field(default_factory=list)


@st.composite
def plays(draw: st.DrawFn) -> Play:
    """Each step may come after any of those before it."""
    keys = KEYS[: draw(st.integers(1, len(KEYS)))]
    graph = {
        key: tuple(sorted(draw(st.sets(st.sampled_from(keys[:place]), max_size=3))))
        if place
        else ()
        for place, key in enumerate(keys)
    }
    some = st.frozensets(st.sampled_from(keys))
    return Play(
        graph,
        draw(some),
        draw(some),
        draw(st.none() | st.integers(0, 3)),
        draw(st.sampled_from(["whole", "steps"])),
        draw(st.lists(st.integers(0, 9), max_size=8)),
    )


def model(graph: Graph, fails: frozenset[str], goes_on: frozenset[str]) -> dict[str, str]:
    """How each step ends when nobody cancels: keys come in an order that the graph allows."""
    ends: dict[str, str] = {}
    for key, after in graph.items():
        stopped = any(ends[each] != "completed" and each not in goes_on for each in after)
        ends[key] = "cancelled" if stopped else "failed" if key in fails else "completed"
    return ends


def verdict(statuses: Mapping[str, str]) -> str:
    return "completed" if set(statuses.values()) == {"completed"} else "failed"


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(play=plays())
def test_any_request_ends_as_its_model_says(requests: Requests, play: Play) -> None:
    """No step begins before it may, each ends as it should, and so does the request; and all that
    failed or was cancelled is completed once it is tried again and succeeds."""
    parent_id = requests.create(play.graph, goes_on=tuple(play.goes_on))
    _carry_out(requests, parent_id, play, play.fails, play.cancelled_after)
    found = requests.statuses(parent_id)
    if requests.status(parent_id) == "cancelled":
        assert play.cancelled_after is not None
        assert set(found.values()) <= {"completed", "failed", "cancelled"}
    else:
        assert found == model(play.graph, play.fails, play.goes_on)
        assert requests.status(parent_id) == verdict(found)
    if set(found.values()) == {"completed"}:
        return
    _try_again(requests, parent_id, play, found)
    _carry_out(requests, parent_id, play, frozenset(), None)
    assert set(requests.statuses(parent_id).values()) == {"completed"}
    assert requests.status(parent_id) == "completed"
    assert requests.progress(parent_id)["processed"] == len(play.graph)


def _try_again(requests: Requests, parent_id: str, play: Play, found: Mapping[str, str]) -> None:
    if play.retries == "whole":
        requests.repository.retry(parent_id)
    else:
        for key in sorted(found, reverse=True):  # those that come after others first
            if found[key] != "completed":
                requests.repository.retry(f"{parent_id}_{key}")
    requests.run()


def _carry_out(
    requests: Requests,
    parent_id: str,
    play: Play,
    fails: frozenset[str],
    cancelled_after: int | None,
) -> None:
    """Carry out what is pending, in any order, until nothing is."""
    order = iter([*play.order, *[0] * 100])
    ended = 0
    requests.run()
    while pending := [each for each in requests.pending() if each.startswith(parent_id)]:
        if ended == cancelled_after:
            requests.repository.cancel(parent_id)
            requests.run()
            return
        step = pending[next(order) % len(pending)]
        key = step.removeprefix(f"{parent_id}_")
        _is_due(requests, parent_id, play, key)
        hold = requests.begin(parent_id, key)
        assert requests.end(hold, fails=key in fails)
        ended += 1
        requests.run()


def _is_due(requests: Requests, parent_id: str, play: Play, key: str) -> None:
    """Nothing begins before what it comes after is over."""
    statuses = requests.statuses(parent_id)
    for each in play.graph[key]:
        allowed = {"completed", "failed", "cancelled"} if each in play.goes_on else {"completed"}
        assert statuses[each] in allowed
