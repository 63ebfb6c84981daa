"""The census: exact while there are few, and at a bounded price when there are many."""

from __future__ import annotations

import threading

from agent.dashboard.seen.census import AT_ONCE, EXACT, Census, joined
from agent.dashboard.words import About, number
from agent.errors import StoreUnavailable

MANY = {"ANALYSIS": {"completed": EXACT, "pending": 7}}


class Store:
    """What there is, and how often all of it was read."""

    def __init__(self, counts: dict[str, dict[str, int]]) -> None:
        self.counts = counts
        self.opened = {
            service: {name: each for name, each in of.items() if name != "completed"}
            for service, of in counts.items()
        }
        self.has_all_open = True
        self.read_all = 0
        self.error: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def count_by_status(self) -> dict[str, dict[str, int]]:
        self.read_all += 1
        self.may_answer.wait(5)
        if self.error is not None:
            raise self.error
        return self.counts

    def estimated_count(self) -> int:
        return sum(sum(each.values()) for each in self.counts.values())

    def count_open(self, up_to: int) -> tuple[dict[str, dict[str, int]], bool]:
        return self.opened, self.has_all_open


def estimates(counts: object) -> set[str]:
    """The statuses that are told as `About`."""
    assert isinstance(counts, dict)
    return {name for name, each in counts["ANALYSIS"].items() if isinstance(each, About)}


def test_few_are_counted_whenever_somebody_asks() -> None:
    """No page of a small system shows `≈`."""
    store = Store({"ANALYSIS": {"completed": 2, "pending": 1}})
    census = Census(store)
    assert census() == {"ANALYSIS": {"completed": 2, "pending": 1}}
    store.counts = {"ANALYSIS": {"completed": 3}}
    assert census() == {"ANALYSIS": {"completed": 3}}
    assert estimates(census()) == set()


def test_what_was_few_and_is_very_many_is_not_counted_by_whoever_asks() -> None:
    """They would wait for it, and so would all others."""
    store = Store({"ANALYSIS": {"completed": 2, "pending": 1}})
    census = Census(store)
    census()
    store.counts = {"ANALYSIS": {"completed": 10 * AT_ONCE, "pending": 1}}
    before = store.read_all
    assert estimates(census()) != set()
    assert store.read_all == before


def test_many_are_not_counted_whenever_somebody_asks() -> None:
    """What is open is told as it is; what is final as it was counted last."""
    store, clock = Store(MANY), [0.0]
    census = Census(store, monotonic=lambda: clock[0])
    first = census()
    store.counts = {"ANALYSIS": {"completed": EXACT + 9, "pending": 8}}
    store.opened = {"ANALYSIS": {"pending": 8}}
    again = census()
    assert (first["ANALYSIS"]["completed"], again["ANALYSIS"]["completed"]) == (EXACT, EXACT)
    assert again["ANALYSIS"]["pending"] == 8
    assert estimates(again) == {"completed"}
    assert store.read_all == 1


def test_what_grows_is_counted_exactly_once_more() -> None:
    """Between two counts in the background a small system may have become a large one."""
    store = Store({"ANALYSIS": {"completed": 1}})
    census = Census(store, monotonic=lambda: 0.0)
    census()
    store.counts = MANY
    census()
    read = store.read_all
    assert estimates(census()) == {"completed"}
    assert store.read_all == read


def test_what_is_final_is_counted_again_in_the_background() -> None:
    """While that takes its time nobody waits for it."""
    store, clock = Store(MANY), [0.0]
    census = Census(store, monotonic=lambda: clock[0])
    census()
    store.counts = {"ANALYSIS": {"completed": EXACT + 9}}
    store.may_answer.clear()
    clock[0] = 3600.0
    assert census()["ANALYSIS"]["completed"] == EXACT
    store.may_answer.set()
    background = census._counting
    if background is not None:
        background.join(5)
    assert census()["ANALYSIS"]["completed"] == EXACT + 9


def test_what_cannot_be_counted_is_not_known() -> None:
    """The page comes all the same, and says nothing that is not so."""
    store = Store(MANY)
    store.error = StoreUnavailable("it took too long")
    nothing = dict.fromkeys(("waiting", "pending", "scheduled", "queued", "processing"), 0)
    unknown = dict.fromkeys(("completed", "failed", "cancelled"))
    assert Census(store, ["ANALYSIS", "GENERATIVE"])() == {
        "ANALYSIS": {**nothing, "pending": 7, **unknown},
        "GENERATIVE": {**nothing, **unknown},
    }


def test_a_backlog_that_is_too_long_is_told_as_it_was_counted() -> None:
    """A part of it would be taken for all."""
    found = {"ANALYSIS": {"pending": 3}}
    kept = {"ANALYSIS": {"pending": 900}, "GENERATIVE": {"pending": 800}}
    counts = joined(found, False, kept)
    assert counts == kept
    assert estimates(counts) == {"pending"}
    assert estimates(joined(found, False, None)) == {"pending"}


def test_an_estimate_is_marked() -> None:
    """`≈` stands before it; not before what is exact."""
    assert [number(each) for each in (About(12345), 12345, About(0))] == [
        "≈ 12,345",
        "12,345",
        "≈ 0",
    ]
