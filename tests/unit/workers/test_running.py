"""What runs in a process, and which of it the heartbeat keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from agent.errors import Draining, StoreUnavailable
from agent.models import Claim
from agent.settings import Settings
from agent.store.changes import Hold
from agent.store.mongo_context_repository import MongoContextRepository
from agent.workers.running import Heartbeat, Run, Running
from tests.waiting import wait_until


def a_run(token: str = "token_1", longest: float = 60.0, begun: bool = True) -> Run:
    run = Run(
        Claim(f"ctx_{token}", 1, "claim_1"),
        "ANALYSIS",
        token,
        "trace_1",
        timedelta(seconds=longest),
    )
    if begun:
        run.begin({"_id": run.claim.context_id, "attempt": 3})
    return run


class Renewals:
    """Stands in for the repository: notes whose leases are renewed, and loses some."""

    def __init__(self) -> None:
        self.settings = Settings(lease_seconds=3.0, heartbeat_seconds=0.02)
        self.renewed: list[list[str]] = []
        self.lost: set[str] = set()
        self.error: Exception | None = None
        self.failed = 0

    def renew(self, holds: Sequence[Hold], lease: timedelta) -> list[Hold]:
        assert lease == self.settings.lease
        if self.error is not None:
            self.failed += 1
            raise self.error
        self.renewed.append([hold.token for hold in holds])
        return [hold for hold in holds if hold.token in self.lost]


@contextmanager
def beating(
    renewals: Renewals, running: Running, on_lost: Callable[[int], None] = lambda _: None
) -> Iterator[None]:
    heartbeat = Heartbeat(cast(MongoContextRepository, renewals), running, on_lost)
    try:
        yield
    finally:
        heartbeat.stop()


def after_a_beat(renewals: Renewals) -> list[str]:
    """Whose leases the next whole beat renews."""
    seen = len(renewals.renewed)
    wait_until(lambda: len(renewals.renewed) > seen + 1)
    return renewals.renewed[-1]


def test_a_run_is_held_by_its_fence_and_token() -> None:
    """What every write of its worker is guarded by."""
    assert a_run().hold == Hold("ctx_token_1", 1, "token_1")


def test_a_run_says_what_every_line_of_the_log_needs() -> None:
    """Ids only."""
    assert a_run().fields == {
        "context_id": "ctx_token_1",
        "fence": 1,
        "attempt": 3,
        "service_type": "ANALYSIS",
        "trace_id": "trace_1",
    }


def test_a_run_is_taken_out_of_its_threads_hands_once() -> None:
    """Whoever is first settles it."""
    run = a_run()
    assert [run.abandon(), run.abandon()] == [True, False]


def test_what_was_given_up_is_not_sent_any_more() -> None:
    """It was released, so another worker may have it."""
    run = a_run()
    run.abandon()
    with pytest.raises(Draining):
        run.note_sent()
    assert run.sent is False


def test_one_of_many_threads_gives_a_run_up() -> None:
    """And after it none of them sends."""
    for _ in range(50):
        run, together = a_run(), threading.Barrier(4)

        def abandon(run: Run = run, together: threading.Barrier = together) -> bool:
            together.wait(5)
            return run.abandon()

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(lambda _: abandon(), range(4))) == [False, False, False, True]


def test_runs_are_known_from_their_start_to_their_end() -> None:
    """In the order of their starts; one that is not there any more is no trouble."""
    running = Running()
    runs = [a_run(f"token_{number}") for number in range(3)]
    for run in runs:
        running.add(run)
    running.remove(runs[1])
    running.remove(runs[1])
    assert running.all() == [runs[0], runs[2]]


def test_waiting_ends_with_the_last_run() -> None:
    """At once, not at the end of the grace."""
    running, run = Running(), a_run()
    assert running.wait_until_none(0) is True
    running.add(run)
    assert running.wait_until_none(0.01) is False
    timer = threading.Timer(0.05, running.remove, [run])
    timer.start()
    assert running.wait_until_none(10) is True
    timer.join()


def test_all_leases_of_a_process_are_renewed_together() -> None:
    """In one update, however many run."""
    renewals, running = Renewals(), Running()
    for number in range(3):
        running.add(a_run(f"token_{number}"))
    with beating(renewals, running):
        assert after_a_beat(renewals) == ["token_0", "token_1", "token_2"]


@pytest.mark.parametrize(
    "run",
    [a_run(begun=False), a_run(longest=-1.0)],
    ids=["not started", "hangs"],
)
def test_some_runs_are_not_kept(run: Run) -> None:
    """One that is not ours yet, and one that hangs: it loses its context."""
    renewals, running = Renewals(), Running()
    running.add(run)
    running.add(a_run("token_2"))
    with beating(renewals, running):
        assert after_a_beat(renewals) == ["token_2"]


def test_a_run_that_was_given_up_is_not_kept() -> None:
    """It is settled already."""
    renewals, running, run = Renewals(), Running(), a_run()
    running.add(run)
    with beating(renewals, running):
        assert after_a_beat(renewals) == ["token_1"]
        run.abandon()
        assert after_a_beat(renewals) == []


def test_a_lost_lease_is_told_once() -> None:
    """Not at every beat that finds it."""
    renewals, running = Renewals(), Running()
    told: list[int] = []
    renewals.lost = {"token_1"}
    running.add(a_run())
    with beating(renewals, running, told.append):
        after_a_beat(renewals)
        after_a_beat(renewals)
    assert told == [1]


def test_a_run_that_just_ended_has_lost_nothing() -> None:
    """Its last write ended its lease."""
    renewals, running, run = Renewals(), Running(), a_run()
    told: list[int] = []

    def renew(holds: Sequence[Hold], lease: timedelta) -> list[Hold]:
        running.remove(run)
        renewals.renewed.append([])
        return list(holds)

    cast(Any, renewals).renew = renew
    running.add(run)
    with beating(renewals, running, told.append):
        wait_until(lambda: len(renewals.renewed) > 1)
    assert told == []


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), ValueError("a bug")])
def test_the_heart_goes_on_beating(error: Exception) -> None:
    """Whatever MongoDB or the code does: without it every context would be lost."""
    renewals, running = Renewals(), Running()
    running.add(a_run())
    with beating(renewals, running):
        renewals.error = error
        wait_until(lambda: renewals.failed > 1)
        renewals.error = None
        assert after_a_beat(renewals) == ["token_1"]
