"""What a seed stands for, and how seeds are named."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.nemesis.asks import ASKS, BY_SERVICE, FOREIGN, UNREADABLE
from tests.nemesis.drawn_faults import APART_SECONDS, overlap
from tests.nemesis.injections import MAKERS
from tests.nemesis.plan import Batch, Kind, Operation
from tests.nemesis.schedule import plan_of
from tests.nemesis.seeds import parse_seeds
from tests.nemesis.work import theirs

SEEDS = range(200)


def test_a_seed_is_always_the_same_schedule() -> None:
    """And another seed another one."""
    assert [plan_of(seed) for seed in SEEDS] == [plan_of(seed) for seed in SEEDS]
    assert len({plan_of(seed).faults for seed in SEEDS}) == len(SEEDS)


def test_every_fault_and_all_work_come_in_two_hundred_seeds() -> None:
    """Nothing is drawn so seldom that a long run does without it."""
    plans = [plan_of(seed) for seed in SEEDS]
    faults = {fault.kind for plan in plans for fault in plan.faults}
    steps = [step for plan in plans for step in plan.work]
    assert faults == set(Kind) == set(MAKERS)
    asked = {(step.service, step.ask) for step in steps if isinstance(step, Batch)}
    assert asked >= {(service, ask) for service, asks in BY_SERVICE.items() for ask in asks}
    assert {ask for service, ask in asked if service is None} == {*FOREIGN, *UNREADABLE}
    words = {step.word for step in steps if isinstance(step, Operation)}
    assert words == {"cancel", "retry", "begin anew", "run now"}


def test_no_two_faults_hold_the_same_thing_at_once() -> None:
    """Or one of them would undo the other, and prove nothing."""
    for plan in map(plan_of, SEEDS):
        for first, second in combinations(plan.faults, 2):
            if overlap(first.target, second.target):
                assert second.at >= first.at + first.seconds + APART_SECONDS


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("worker 0", "worker 0", True),
        ("worker 0", "worker 1", False),
        ("workers to redis", "worker 1 to redis", True),
        ("worker 1 to redis", "workers to redis", True),
        ("workers to redis", "worker 1 to mongodb", False),
        ("workers to redis", "bridge 1 to redis", False),
        ("bridge 1 to redis", "bridge 1", False),
        ("redis", "redis", True),
    ],
)
def test_targets_overlap_by_their_names(one: str, other: str, meet: bool) -> None:
    """A process and its ways are different things; those of all include that of each."""
    assert overlap(one, other) is meet


def test_an_operation_is_on_a_batch_that_is_there_by_then() -> None:
    """In the order in which they are submitted."""
    for plan in map(plan_of, SEEDS):
        batches = 0
        for step in plan.work:
            if isinstance(step, Batch):
                assert step.ask in {*ASKS, *FOREIGN, *UNREADABLE}
                batches += 1
            else:
                assert step.batch is None or step.batch < batches


@pytest.mark.parametrize("shape", [*FOREIGN, *UNREADABLE])
def test_every_shape_of_foreign_document_can_be_made(shape: str) -> None:
    """Pending, and with the word that tells it apart."""
    document = theirs(shape, metadata={"ask": shape})
    assert (document["status"], document["metadata"]) == ("pending", {"ask": shape})


def test_seeds_are_numbers_and_ranges() -> None:
    """Each once, in the order given."""
    assert parse_seeds(["3 17", "20-22", "17,4"]) == [3, 17, 20, 21, 22, 4]
    assert parse_seeds([]) == []


@pytest.mark.parametrize("word", ["x", "3-", "-3", "5-3", "1.5"])
def test_what_is_no_seed_is_refused(word: str) -> None:
    """By its word."""
    with pytest.raises(ValueError, match=r"is no seed|ends before"):
        parse_seeds([word])
