"""Which bridge works, by the answers of a repository and a clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from agent.errors import StoreUnavailable
from agent.models import Document
from agent.store.locks import Lead
from agent.store.mongo_context_repository import MongoContextRepository
from bridge.leader import Leadership

LEASE = timedelta(seconds=10)
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Locks:
    """Stands in for the repository: gives the answers that a test wrote down."""

    def __init__(self) -> None:
        self.answers: list[Lead | Exception] = []
        self.asked: list[tuple[str, timedelta]] = []
        self.given_up: list[str] = []
        self.away = False
        self.free_in = 7.0

    def lead(self, owner: str, lease: timedelta) -> Lead:
        self.asked.append((owner, lease))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def leader(self) -> Document | None:
        return {"owner": "bridge:2", "expires_at": NOW + timedelta(seconds=self.free_in)}

    def now(self) -> datetime:
        return NOW

    def give_up_lead(self, owner: str) -> None:
        if self.away:
            raise StoreUnavailable("no answer")
        self.given_up.append(owner)


class Bridge:
    """One process: its clock, and what it was told when it began to lead."""

    def __init__(self) -> None:
        self.locks = Locks()
        self.now = 1000.0
        self.began: list[bool] = []
        self.leadership = Leadership(
            cast(MongoContextRepository, self.locks),
            "bridge:1",
            LEASE,
            self.began.append,
            monotonic=lambda: self.now,
        )

    def step(self, *answers: Lead | Exception) -> None:
        for answer in answers:
            self.locks.answers.append(answer)
            self.leadership.step()

    @property
    def leads(self) -> bool:
        return self.leadership.leads


AWAY = StoreUnavailable("no answer")


def test_nobody_leads_before_it_has_asked() -> None:
    """Two that start at once must not both work."""
    assert Bridge().leads is False


@pytest.mark.parametrize(("lead", "took_over"), [(Lead.BEGAN, False), (Lead.TOOK_OVER, True)])
def test_a_bridge_that_begins_to_lead_is_told(lead: Lead, took_over: bool) -> None:
    """And whether the last leader fell silent, who may have left something undone."""
    bridge = Bridge()
    bridge.step(lead)
    assert (bridge.leads, bridge.began) == (True, [took_over])
    assert bridge.locks.asked == [("bridge:1", LEASE)]


def test_keeping_the_lead_is_no_beginning() -> None:
    """It is told once."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN)
    bridge.now += 3
    bridge.step(Lead.LEADS, Lead.LEADS)
    assert (bridge.leads, bridge.began) == (True, [False])


def test_a_follower_does_not_lead() -> None:
    """It asks again; nothing is begun."""
    bridge = Bridge()
    bridge.step(Lead.FOLLOWS, Lead.FOLLOWS)
    assert (bridge.leads, bridge.began) == (False, [])


def test_a_leader_that_could_not_ask_leads_to_the_end_of_its_lease() -> None:
    """By its own clock: another one may have taken over then."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN)
    bridge.now += 9.9
    bridge.step(AWAY)
    assert bridge.leads is True
    bridge.now += 0.2
    assert bridge.leads is False


def test_the_lease_counts_from_before_the_question() -> None:
    """However long the answer took, the server's lease began no earlier."""
    bridge = Bridge()
    answer = bridge.locks.lead

    def slowly(owner: str, lease: timedelta) -> Lead:
        bridge.now += 8
        return answer(owner, lease)

    bridge.locks.lead = slowly  # type: ignore[method-assign]
    bridge.step(Lead.BEGAN)
    bridge.now += 1.9
    assert bridge.leads is True
    bridge.now += 0.2
    assert bridge.leads is False


def test_a_leader_that_was_stopped_for_long_begins_anew() -> None:
    """Nobody took its lead, but its lease had run out meanwhile: something may be undone."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN)
    bridge.now += 60
    assert bridge.leads is False
    bridge.step(Lead.LEADS)
    assert (bridge.leads, bridge.began) == (True, [False, True])


def test_a_leader_that_lost_the_lead_stops_at_once() -> None:
    """Its clock may have been slow."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN, Lead.FOLLOWS)
    assert bridge.leads is False


def test_the_lead_is_given_up_at_once() -> None:
    """The next one need not wait for a lease to run out; twice does no harm."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN)
    bridge.leadership.give_up()
    bridge.leadership.give_up()
    assert (bridge.leads, bridge.locks.given_up) == (False, ["bridge:1"])


def test_one_that_gave_the_lead_up_does_not_take_it_again() -> None:
    """Its last step may have been under way."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN)
    bridge.leadership.give_up()
    bridge.step(Lead.BEGAN)
    assert (bridge.leads, len(bridge.locks.asked)) == (False, 1)


def test_a_follower_has_nothing_to_give_up() -> None:
    """Least of all the lead of another."""
    bridge = Bridge()
    bridge.step(Lead.FOLLOWS)
    bridge.leadership.give_up()
    assert bridge.locks.given_up == []


def test_a_lead_that_cannot_be_given_up_runs_out() -> None:
    """MongoDB may be away when a bridge ends."""
    bridge = Bridge()
    bridge.step(Lead.BEGAN)
    bridge.locks.away = True
    bridge.leadership.give_up()
    assert bridge.leads is False


@pytest.mark.parametrize("free_in", [7.0, 0.0])
def test_one_that_stands_by_knows_when_the_lead_is_free(free_in: float) -> None:
    """So that it takes it the moment that its leader keeps it no more."""
    bridge = Bridge()
    bridge.locks.free_in = free_in
    bridge.locks.answers = [Lead.FOLLOWS]
    assert bridge.leadership.step() == free_in


@pytest.mark.parametrize("answer", [Lead.LEADS, Lead.BEGAN, Lead.TOOK_OVER, AWAY])
def test_nobody_else_waits_for_the_lead(answer: Lead | Exception) -> None:
    """Whoever leads keeps it; whoever had no answer asks again in its turn."""
    bridge = Bridge()
    bridge.locks.answers = [answer]
    assert bridge.leadership.step() is None
