"""What is noted of the duties of a bridge, by a clock that a test moves."""

from __future__ import annotations

import pytest

from agent.errors import StoreUnavailable
from bridge.ledger import LONGEST_ERROR, Ledger


class Clock:
    """Says what a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    ledger = Ledger(monotonic=clock)
    ledger.expect({"rescue": 5.0})
    return ledger


def run(ledger: Ledger, clock: Clock, took: float, error: Exception | None = None) -> None:
    def rescue() -> None:
        clock.now += took
        if error is not None:
            raise error

    ledger.run("rescue", rescue)


def test_the_last_run_of_each_job_is_told(ledger: Ledger, clock: Clock) -> None:
    """When it ended, how long it took, and how often it comes."""
    run(ledger, clock, 9.0)
    run(ledger, clock, 0.5)
    clock.now += 2
    assert ledger.run("admit", lambda: 7) == 7
    admit, rescue = ledger.views()
    assert (rescue.name, rescue.age_seconds, rescue.took_seconds) == ("rescue", 2.0, 0.5)
    assert (rescue.every_seconds, rescue.error) == (5.0, None)
    assert (admit.name, admit.age_seconds, admit.every_seconds) == ("admit", 0.0, None)


def test_the_last_error_stays_when_the_job_is_well_again(ledger: Ledger, clock: Clock) -> None:
    """It says then how long ago that was."""
    with pytest.raises(StoreUnavailable):
        run(ledger, clock, 1.0, StoreUnavailable("no answer"))
    [failing] = ledger.views()
    assert (failing.error, failing.is_failing) == ("no answer", True)
    clock.now += 5
    run(ledger, clock, 1.0)
    [well] = ledger.views()
    assert (well.error, well.error_age_seconds, well.is_failing) == ("no answer", 6.0, False)


def test_an_error_tells_no_secret_and_nothing_of_a_context(ledger: Ledger, clock: Clock) -> None:
    """Ours are masked and cut; of a bug its message may be anything."""
    for error in (
        StoreUnavailable(f"mongodb://ann:hush@host/ {'x' * 9999}"), ValueError("a payload"),
    ):  # fmt: skip
        with pytest.raises(type(error)):
            run(ledger, clock, 1.0, error)
        [view] = ledger.views()
        assert view.error is not None
        assert "hush" not in view.error
        assert "payload" not in view.error
        assert len(view.error) <= LONGEST_ERROR
    assert view.error == "ValueError; the log of the bridge has more"


def test_who_begins_to_lead_tells_nothing_of_before(ledger: Ledger, clock: Clock) -> None:
    """Its duties have not run meanwhile."""
    run(ledger, clock, 1.0)
    ledger.forget()
    assert ledger.views() == []
