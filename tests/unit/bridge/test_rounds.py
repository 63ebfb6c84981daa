"""What a round of the leading bridge does, by what rang and by what there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from agent.duties.adopt import Adopt
from agent.duties.settle import Settle
from agent.errors import AgentError, BrokerUnavailable, StoreUnavailable
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.upkeep import Look
from bridge.admit import Admit
from bridge.doorbell import Bell, Ring
from bridge.rounds import LONGEST_WAIT_SECONDS, Rounds
from tests.waiting import wait_until

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class House:
    """All that a round asks: notes what was done, and answers what a test says."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.seen = Look(pending=False, next_due=None)
        self.due: datetime | None = None
        self.more: list[float | None] = []
        self.steps_begin = False
        self.error: Exception | None = None
        self.leading = True
        self.asked = 0
        self.outages = 0
        self.settings = Settings()
        self.bell = Bell()
        self.rounds = Rounds(
            self.bell,
            cast(MongoContextRepository, self),
            cast(Admit, Doing(self, "admit")),
            cast(Adopt, Doing(self, "adopt")),
            cast(Settle, Doing(self, "settle")),
            leads=self._leads,
            on_outage=self._note_outage,
        )

    # The repository

    def look(self) -> Look:
        self.note("look")
        return self.seen

    def promote(self) -> int:
        self.note("promote")
        return 0

    def next_due(self) -> datetime | None:
        return self.due

    def now(self) -> datetime:
        return NOW

    def note(self, what: str) -> None:
        self.done.append(what)
        if self.error is not None:
            raise self.error

    def _leads(self) -> bool:
        self.asked += 1
        return self.leading

    def _note_outage(self) -> None:
        self.outages += 1

    @contextmanager
    def living(self) -> Iterator[None]:
        self.rounds.start()
        try:
            yield
        finally:
            self.rounds.stop()


class Doing:
    """Stands in for a part that is only run."""

    def __init__(self, house: House, name: str) -> None:
        self._house = house
        self._name = name

    def run(self) -> float | bool | None:
        self._house.note(self._name)
        if self._name == "settle":
            return self._house.steps_begin
        return self._house.more.pop(0) if self._name == "admit" and self._house.more else None


EVERYTHING = ["look", "promote", "settle", "adopt", "admit"]


@pytest.mark.parametrize(
    ("rings", "seen", "done"),
    [
        (Ring.TICK, Look(False, None), ["look", "settle"]),
        (Ring.TICK, Look(False, NOW + SECOND), ["look", "settle"]),
        (Ring.SETTLE, Look(False, None), ["settle", "admit"]),
        (Ring.TICK, Look(False, NOW), EVERYTHING),
        (Ring.TICK, Look(True, None), EVERYTHING),
        (Ring.ROOM, Look(True, None), ["admit"]),
        (Ring.FOREIGN, Look(True, None), ["adopt", "admit"]),
        (Ring.ROOM | Ring.FOREIGN, Look(True, None), ["adopt", "admit"]),
        (Ring.TICK | Ring.ROOM, Look(True, None), EVERYTHING),
    ],
)
def test_a_round_does_what_rang_and_no_more(rings: Ring, seen: Look, done: list[str]) -> None:
    """An idle system is asked one cheap question a tick."""
    house = House()
    house.seen = seen
    house.rounds.run(rings)
    assert house.done == done


@pytest.mark.parametrize(
    ("seen", "ticks", "settled"),
    [(Look(False, None), 4, 1), (Look(True, None), 4, 2), (Look(False, None), 6, 2)],
)
def test_settling_needs_no_ring_and_is_rare_while_nothing_is_to_be_done(
    seen: Look, ticks: int, settled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the look of every tick that is fewer than two questions a second."""
    clock = [1000.0]
    monkeypatch.setattr("bridge.rounds.time.monotonic", lambda: clock[0])
    house = House()
    house.seen = seen
    for _ in range(ticks):
        house.rounds.run(Ring.TICK)
        clock[0] += 1.0
    assert (house.done.count("look"), house.done.count("settle")) == (ticks, settled)


def test_steps_that_begin_are_admitted_at_once() -> None:
    """Though the look had found nothing."""
    house = House()
    house.steps_begin = True
    house.rounds.run(Ring.TICK)
    assert house.done == ["look", "settle", "admit"]


def test_a_look_that_took_long_counts_as_an_outage() -> None:
    """A worker that waited as long has missed a sign of life."""
    house = House()
    house.settings = Settings(lease_seconds=3.0, heartbeat_seconds=1e-9)
    house.rounds.run(Ring.TICK)
    assert house.outages == 1


def test_a_round_says_when_there_may_be_more() -> None:
    """Then the next one comes without a ring."""
    house = House()
    house.more = [0.1, None]
    assert [house.rounds.run(Ring.ROOM), house.rounds.run(Ring.ROOM)] == [0.1, None]


def test_more_work_brings_more_rounds_without_a_ring() -> None:
    """Until there is none."""
    house = House()
    house.more = [0.0, 0.05, None]
    with house.living():
        house.bell.ring(Ring.ROOM)
        wait_until(lambda: house.done == ["admit"] * 3)


def test_what_falls_due_brings_a_round_by_itself() -> None:
    """At its time, not at the next tick."""
    house = House()
    house.seen = Look(False, NOW + timedelta(seconds=0.05))
    with house.living():
        house.bell.ring(Ring.TICK)
        wait_until(lambda: house.done.count("look") > 1)


def test_nothing_due_means_a_long_wait() -> None:
    """A bell that rings ends it."""
    house = House()
    house.due = NOW + timedelta(hours=1)
    house.seen = Look(True, None)
    house.rounds.run(Ring.TICK)
    assert house.rounds._seconds_until_due() == LONGEST_WAIT_SECONDS


def test_one_that_does_not_lead_does_nothing() -> None:
    """Whatever rings; when it leads, it begins with the next ring."""
    house = House()
    house.leading = False
    with house.living():
        house.bell.ring(Ring.TICK)
        wait_until(lambda: house.asked)
        house.leading = True
        house.bell.ring(Ring.ROOM)
        wait_until(lambda: house.done)
    assert house.done == ["admit"]


@pytest.mark.parametrize(
    ("error", "outages"),
    [(StoreUnavailable("x"), 1), (BrokerUnavailable("x"), 0), (AgentError("x"), 0)],
)
def test_a_round_that_fails_is_not_the_last(error: Exception, outages: int) -> None:
    """Only an outage of MongoDB holds rescue off: no worker could renew either."""
    house = House()
    house.error = error
    with house.living():
        house.bell.ring(Ring.ROOM)
        wait_until(lambda: house.done)
        house.error = None
        house.bell.ring(Ring.FOREIGN)
        wait_until(lambda: house.done[-2:] == ["adopt", "admit"])
    assert house.outages == outages


def test_even_a_bug_does_not_end_the_rounds() -> None:
    """A bridge that stands still would be the worst of its consequences."""
    house = House()
    house.error = ZeroDivisionError()
    with house.living():
        house.bell.ring(Ring.ROOM)
        wait_until(lambda: house.done)
        house.error = None
        house.bell.ring(Ring.FOREIGN)
        wait_until(lambda: house.done[-2:] == ["adopt", "admit"])


def test_stopping_ends_the_thread() -> None:
    """However long it would have waited."""
    house = House()
    with house.living():
        pass
    assert "rounds" not in {thread.name for thread in threading.enumerate()}
