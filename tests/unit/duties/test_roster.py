"""Who does the duties where there is no bridge."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.duties.roster import Roster
from agent.errors import StoreUnavailable
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository


class Store:
    """Stands in for the repository: an empty one, which may be away."""

    def __init__(self) -> None:
        self.settings = Settings(lease_seconds=3.0)
        self.clock = SimpleNamespace(primary_changes=0)
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def now(self) -> datetime:
        return datetime(2025, 3, 1, tzinfo=UTC)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(*_: Any, **__: Any) -> Any:
            self.asked.append(name)
            self.entered.set()
            self.go_on.wait(10)
            if self.error is not None:
                raise self.error
            return 0 if name == "promote" else None if name == "next_due" else []

        return ask


def a_roster(store: Store) -> Roster:
    return Roster(cast(MongoContextRepository, store))


def test_workers_on_one_repository_share_one_roster() -> None:
    """Or each would do every duty again."""
    first, second = Store(), Store()
    rosters = [Roster.of(cast(MongoContextRepository, each)) for each in (first, first, second)]
    assert rosters[0] is rosters[1]
    assert rosters[0] is not rosters[2]


def test_what_is_due_is_done_and_then_not_for_a_while() -> None:
    """Everything at first; a worker that asks at once finds nothing due."""
    store = Store()
    roster = a_roster(store)
    roster.run_due()
    assert {"promote", "foreign", "overdue", "foreign_fences"} <= set(store.asked)
    done = len(store.asked)
    roster.run_due()
    assert len(store.asked) == done


def test_one_worker_at_a_time_does_the_duties() -> None:
    """The others go on with their calls."""
    store = Store()
    roster = a_roster(store)
    store.go_on.clear()
    thread = threading.Thread(target=roster.run_due)
    thread.start()
    store.entered.wait(10)
    roster.run_due()
    assert store.asked == ["promote"]
    store.go_on.set()
    thread.join()


def test_an_outage_that_any_duty_meets_holds_rescue_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker could not renew either meanwhile; rescue need not have met it itself."""
    store = Store()
    roster = a_roster(store)
    held: list[None] = []
    monkeypatch.setattr(roster._rescue, "hold_off", lambda: held.append(None))
    store.error = StoreUnavailable("no answer")
    with pytest.raises(StoreUnavailable):
        roster.run_due()
    assert store.asked == ["promote"]
    assert held == [None]


def test_a_duty_that_failed_is_due_at_once() -> None:
    """And the ones behind it."""
    store = Store()
    roster = a_roster(store)
    store.error = StoreUnavailable("no answer")
    with pytest.raises(StoreUnavailable):
        roster.run_due()
    store.error = None
    roster.run_due()
    assert {"promote", "foreign", "overdue"} <= set(store.asked[1:])
