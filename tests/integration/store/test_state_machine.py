"""Every operation of the repository in any order, by two bridges, three workers and an operator who
know only what they once saw, beside a model that says what each must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.intake.foreign import read_foreign
from agent.models import ABSENT, AttemptRecord, Claim, Document
from agent.settings import Settings
from agent.store.changes import Hold
from agent.store.runs import Fate
from tests.factories import a_context, foreign
from tests.integration.store.model import State, after, states_of
from tests.integration.store.players import (
    BRIDGES,
    ENDS,
    ERROR,
    WORKERS,
    Cast,
    permitted,
    proof_of,
)
from tests.strategies import tried

IDS = ("a", "b", "c")
CHANGES = list(ENDS)
LEASE = timedelta(seconds=30)
LOST = AttemptRecord(number=1, outcome="lost", definite=False)

AGES = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 5, 8])
"""Mostly what was seen last, often enough what is stale by now."""
T = TypeVar("T")

DELAYS = st.sampled_from([timedelta(0), timedelta(seconds=20), timedelta(minutes=2)])
A_BRIDGE, A_WORKER = st.integers(0, BRIDGES - 1), st.integers(0, WORKERS - 1)
AN_ID = st.sampled_from(IDS)


def of_age(seen: list[T], age: int) -> T:
    return seen[-1 - min(age, len(seen) - 1)]


class Interleavings(RuleBasedStateMachine):
    """What each step returns has to be true, and after each the store is what the model is."""

    cast: ClassVar[Cast]

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Any, State] = {}
        self.claims: list[Claim] = []
        self.holds: list[tuple[Hold, Claim]] = []
        self.started: dict[str, Document] = {}
        self.ran_out: list[Document] = []
        self.overdue: list[list[Any]] = []
        self.read: list[Document] = []
        self.tokens = 0
        self.cast.operator.contexts.delete_many({})

    @property
    def now(self) -> datetime:
        return self.cast.clock.now()

    def expect(self, change: str, context_id: Any, **given: Any) -> bool:
        """Let the model make a change; whether it takes place."""
        was = self.model.get(context_id)
        new = None if was is None else after(change, was, self.now, **given)
        if new is not None:
            self.model[context_id] = new
        return new is not None

    def any_is(self, *statuses: str) -> bool:
        return any(state["status"] in statuses for state in self.model.values())

    def note(self, context_id: Any) -> None:
        """Take over into the model what was just inserted."""
        self.model |= states_of([self.cast.operator.find_context(context_id)])

    # Time, and what comes into the store

    @rule(seconds=st.sampled_from([1, 15, 31, 200]))
    def time_passes(self, seconds: int) -> None:
        self.cast.clock.time += timedelta(seconds=seconds)

    @initialize()
    def begin(self) -> None:
        for context_id in IDS:
            self.insert(context_id, delay=timedelta(0), deadline=None, priority=2)

    def insert(
        self, context_id: str, delay: timedelta, deadline: timedelta | None, priority: int
    ) -> None:
        document = a_context(
            _id=context_id,
            priority=priority,
            available_at=self.now + delay,
            status="scheduled" if delay else "pending",
            deadline_at=None if deadline is None else self.now + deadline,
        )
        self.cast.operator.insert_contexts([document])
        self.note(context_id)

    @rule(
        context_id=AN_ID,
        delay=DELAYS,
        deadline=st.one_of(st.none(), DELAYS),
        priority=st.integers(1, 3),
        is_foreign=st.booleans(),
    )
    def replace(
        self,
        context_id: str,
        delay: timedelta,
        deadline: timedelta | None,
        priority: int,
        is_foreign: bool,
    ) -> None:
        """Somebody deletes a context, whoever has it, and inserts another one of that id."""
        self.cast.operator.contexts.delete_one({"_id": context_id})
        if is_foreign:
            document = foreign(_id=context_id, priority=priority, available_at=self.now)
            self.cast.operator.contexts.insert_one(document)
            self.note(context_id)
        else:
            self.insert(context_id, delay, deadline, priority)

    @precondition(lambda self: any(each["fence"] is None for each in self.model.values()))
    @rule(bridge=A_BRIDGE)
    def look_for_foreign_ones(self, bridge: int) -> None:
        """What adoption saw; it may act on it much later."""
        repository = self.cast.bridges[bridge]
        found = repository.foreign()
        assert set(found) == {
            context_id
            for context_id, state in self.model.items()
            if (state["status"], state["fence"]) == ("pending", None)
        }
        documents = [document for _, document in repository.readable(found)]
        self.read += [document for document in documents if document is not None]

    @precondition(lambda self: self.read)
    @rule(bridge=A_BRIDGE, age=AGES)
    def adopt(self, bridge: int, age: int) -> None:
        """By what was read: a document that another program has changed meanwhile stays."""
        repository, document = self.cast.bridges[bridge], of_age(self.read, age)
        adoption = read_foreign(
            document, registry=repository.settings.registry, find_template=lambda _: None,
            now=self.now, max_attempts=lambda _: 20,
        )  # fmt: skip
        stored = self.cast.operator.find_context(document["_id"])
        same = all(stored.get(name, ABSENT) == value for name, value in adoption.read.items())
        adopted = repository.adopt(
            document, read=adoption.read, changes_=adoption.changes, originals=adoption.originals
        )
        assert adopted == (same and self.expect("adopt", document["_id"]))

    # Bridges

    @precondition(lambda self: self.any_is("pending"))
    @rule(bridge=A_BRIDGE, calls=st.integers(0, 3), polls=st.integers(0, 2),
          by_age=st.booleans(), delay=DELAYS)  # fmt: skip
    def claim(self, bridge: int, calls: int, polls: int, by_age: bool, delay: timedelta) -> None:
        """The right ones in the right order, and as many as may be."""
        expected = {
            is_poll: self.in_order(is_poll, by_age)[:most]
            for is_poll, most in ((True, polls), (False, calls))
        }
        lease = LEASE + delay
        taken = self.cast.bridges[bridge].claim(
            "GENERATIVE", calls=calls, polls=polls, lease=lease, owner=f"bridge:{bridge}",
            by_age=by_age,
        )  # fmt: skip
        orders = [self.order(each.context_id, by_age) for each in taken]
        assert orders == [*expected[True], *expected[False]]
        for each in taken:
            assert self.expect(
                "claim", each.context_id, claim=each.claim_id, until=self.now + lease
            )
            assert self.model[each.context_id]["fence"] == each.fence
        self.claims += taken

    def in_order(self, is_poll: bool, by_age: bool) -> list[Any]:
        """The places in line of what may be claimed; equal ones may change places."""
        return sorted(
            self.order(context_id, by_age)
            for context_id, state in self.model.items()
            if after("claim", state, self.now, claim="") and state["remote"] == is_poll
        )

    def order(self, context_id: Any, by_age: bool) -> tuple[Any, ...]:
        document = self.cast.operator.find_context(context_id)
        age = (document["available_at"],)
        return age if by_age else (document["priority"], *age)

    @precondition(lambda self: self.any_is("scheduled"))
    @rule(bridge=A_BRIDGE)
    def promote(self, bridge: int) -> None:
        promoted = [context_id for context_id in self.model if self.expect("promote", context_id)]
        assert self.cast.bridges[bridge].promote() == len(promoted)

    @precondition(lambda self: self.any_is("queued", "processing"))
    @rule(bridge=A_BRIDGE)
    def look_for_leases(self, bridge: int) -> None:
        """What rescue saw; it may act on it much later."""
        found = self.cast.bridges[bridge].expired_leases()
        assert {document["_id"] for document in found} == {
            context_id
            for context_id, state in self.model.items()
            if after("rescue", state, self.now, gives_up=False)
        }
        self.ran_out += found

    @precondition(lambda self: self.ran_out)
    @rule(bridge=A_BRIDGE, age=AGES, gives_up=st.booleans(), delay=DELAYS)
    def rescue(self, bridge: int, age: int, gives_up: bool, delay: timedelta) -> None:
        """By what was seen: another lease than that is left alone, whoever has it."""
        repository, document = self.cast.bridges[bridge], of_age(self.ran_out, age)
        lease = document["lease"]
        if document["status"] == "queued":
            taken = repository.rescue_queued(document)
        elif gives_up:
            taken = repository.rescue_fail(document, error=ERROR, attempt=LOST)
        else:
            taken = repository.rescue_processing(document, delay=delay, attempt=LOST)
        was = self.model[document["_id"]]
        same = [was[name] for name in ("status", "claim", "token")] == [
            document["status"], lease["claim_id"], lease["token"]
        ]  # fmt: skip
        due = {} if document["status"] == "queued" else {"due": self.now + delay}
        assert taken == (same and self.expect("rescue", document["_id"], gives_up=gives_up, **due))

    @precondition(lambda self: any(each["deadline"] for each in self.model.values()))
    @rule(bridge=A_BRIDGE)
    def look_for_deadlines(self, bridge: int) -> None:
        self.overdue.append(self.cast.bridges[bridge].overdue())

    @precondition(lambda self: self.overdue)
    @rule(bridge=A_BRIDGE, age=AGES)
    def expire(self, bridge: int, age: int) -> None:
        """What was late when it was seen, and only if it is so still."""
        ids = of_age(self.overdue, age)
        expired = [context_id for context_id in ids if self.expect("expire", context_id)]
        assert self.cast.bridges[bridge].expire(ids) == len(expired)

    # Workers

    @precondition(lambda self: self.claims)
    @rule(worker=A_WORKER, age=AGES, grouped=st.booleans())
    def start(self, worker: int, age: int, grouped: bool) -> None:
        """By a message that may come late, or for the second time."""
        claim = of_age(self.claims, age)
        self.tokens += 1
        token, repository = f"token_{self.tokens}", self.cast.workers[worker]
        given: dict[str, Any] = {"owner": f"worker:{worker}", "token": token, "lease": LEASE}
        if grouped:
            write = repository.start_write(claim, **given)
            started = self.cast.writers[worker].start(write, claim, token)
        else:
            started = repository.start(claim, **given)
        expected = self.expect(
            "start", claim.context_id, fence=claim.fence, claim=claim.claim_id, token=None,
            new=token, until=self.now + LEASE,
        )  # fmt: skip
        assert (started is not None) == expected
        if started is not None:
            assert states_of([started]) == {claim.context_id: self.model[claim.context_id]}
            self.holds.append((Hold(claim.context_id, claim.fence, token), claim))
            self.started[token] = started

    @precondition(lambda self: self.holds)
    @rule(worker=A_WORKER, ages=st.lists(AGES, max_size=3), delay=DELAYS)
    def renew(self, worker: int, ages: list[int], delay: timedelta) -> None:
        """Those that are lost are told."""
        held, lease = [of_age(self.holds, age) for age in ages], LEASE + delay
        lost = self.cast.workers[worker].renew([hold for hold, _ in held], lease)
        for hold, claim in {hold.token: (hold, claim) for hold, claim in held}.values():
            expected = self.expect("renew", hold.context_id, until=self.now + lease,
                                   **proof_of(hold, claim))  # fmt: skip
            assert (hold not in lost) == expected

    @precondition(lambda self: self.holds)
    @rule(worker=A_WORKER, age=AGES, grouped=st.booleans(), delay=DELAYS,
          change=st.sampled_from(CHANGES))  # fmt: skip
    def finish(self, worker: int, age: int, grouped: bool, delay: timedelta, change: str) -> None:
        """By whoever started it, at any time, as often as they like."""
        hold, claim = of_age(self.holds, age)
        write = ENDS[change](self.now, hold, self.now + delay)
        write = self.cast.operator.retention.kept(self.started[hold.token], write, self.now)
        if grouped:
            done = self.cast.writers[worker].finish(write, hold)
        else:
            done = self.cast.workers[worker].write_back(write)
        due = {"due": self.now + delay} if change in ("retry later", "snooze", "accept") else {}
        expected = self.expect(
            "fail" if change == "fail at last" else change, hold.context_id,
            counts=change == "fail at last", **due, **proof_of(hold, claim),
        )  # fmt: skip
        if grouped and not expected:
            # the write of a hold that has had its effect before is told to have had it
            fate = self.cast.workers[worker].fate(hold, leaves_attempt=write.leaves_attempt)
            assert done == (fate is Fate.APPLIED)
        else:
            assert done == expected

    @precondition(lambda self: self.claims)
    @rule(worker=A_WORKER, age=AGES)
    def release_queued(self, worker: int, age: int) -> None:
        claim = of_age(self.claims, age)
        released = self.cast.workers[worker].release_queued(claim)
        assert released == self.expect("release", claim.context_id, fence=claim.fence,
                                       claim=claim.claim_id, token=None)  # fmt: skip

    # An operator

    @rule(context_id=AN_ID, change=st.sampled_from(["cancel", "run now", "retry", "retry"]),
          fresh_key=st.sampled_from([None, True, False]))  # fmt: skip
    def operate(self, context_id: str, change: str, fresh_key: bool | None) -> None:
        """Each is told whether it took place."""
        operator, was = self.cast.operator, self.model[context_id]
        asks: dict[str, Callable[[], Document]] = {
            "cancel": lambda: operator.cancel(context_id),
            "run now": lambda: operator.run_now(context_id),
            "retry": lambda: operator.retry(context_id, fresh_key=fresh_key),
        }
        done = permitted(asks[change])
        assert done == self.expect(change, context_id)
        if done and change == "retry" and was["fence"] is None:  # it is to be adopted first
            self.model[context_id] |= {"generation": was["generation"]}

    @rule(context_id=AN_ID, delay=DELAYS)
    def postpone(self, context_id: str, delay: timedelta) -> None:
        """What is scheduled, to a time ahead that its deadline leaves."""
        due = self.now + delay
        done = permitted(lambda: self.cast.operator.postpone(context_id, due))
        assert done == self.expect("postpone", context_id, due=due)

    @rule(context_id=AN_ID, delay=st.one_of(st.none(), DELAYS))
    def set_deadline(self, context_id: str, delay: timedelta | None) -> None:
        """Of what is not final, to a time ahead or to none."""
        deadline = None if delay is None else self.now + delay
        done = permitted(lambda: self.cast.operator.set_deadline(context_id, deadline))
        assert done == self.expect("set deadline", context_id, deadline=deadline)

    # A healthy line, so that contexts get far

    @rule(
        bridge=A_BRIDGE,
        worker=A_WORKER,
        grouped=st.booleans(),
        delay=DELAYS,
        change=st.sampled_from(CHANGES),
        falls_silent=st.sampled_from(["", "", "", "", "for ever", "for a while"]),
    )
    def go_on(  # noqa: PLR0917 - drawn by name
        self,
        bridge: int,
        worker: int,
        grouped: bool,
        delay: timedelta,
        change: str,
        falls_silent: str,
    ) -> None:
        """Whatever came last takes its next step; or all fall silent, and are rescued unless
        a sign of life comes at the last moment."""
        if self.any_is("queued", "processing") and falls_silent:
            self.time_passes(200)
            before = len(self.ran_out)
            self.look_for_leases(bridge)
            if falls_silent == "for a while" and self.holds:
                self.renew(worker, [*range(min(len(self.holds), 9))], delay)
            for age in range(len(self.ran_out) - before):
                self.rescue(bridge, age, False, delay)
        elif self.any_is("processing") and self.holds:
            self.finish(worker, 0, grouped, delay, change)
        elif self.any_is("queued") and self.claims:
            self.start(worker, 0, grouped)
        elif self.any_is("pending"):
            self.claim(bridge, 1, 1, False, delay)
        else:
            self.time_passes(200)
            self.promote(bridge)

    # What holds after every step

    @invariant()
    def the_store_is_what_the_model_is(self) -> None:
        assert states_of(self.cast.operator.contexts.find()) == self.model


@pytest.fixture
def cast_(settings: Settings) -> Iterator[Cast]:
    with ExitStack() as stack:
        yield Cast(settings.model_copy(update={"retention_failed": "10d"}), stack)


@pytest.mark.timeout(600)
def test_any_interleaving_does_what_the_model_does(cast_: Cast) -> None:
    """Fences, claims, tokens and counts are as twenty lines say, whoever comes how late."""

    class Here(Interleavings):
        cast = cast_

    run_state_machine_as_test(Here, settings=tried(30, thorough=3000, stateful_step_count=100))
