"""Two or more who want the same context at the same moment, in real threads on a real server: one
gets it, the others are told that they did not, and what is stored is what the one made of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import IllegalTransition
from agent.intake.foreign import read_foreign
from agent.models import AttemptRecord, Claim, Context, Document
from agent.settings import Settings
from agent.store import changes
from agent.store.changes import Hold
from agent.store.group_writer import GroupWriter
from agent.store.locks import Lead
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import LONG_AGO, a_context, a_lease, foreign
from tests.integration.store.players import ENDS, ERROR
from tests.strategies import THOROUGH

ROUNDS = 1000 if THOROUGH else 60
RACERS = 10
LEASE = timedelta(seconds=30)
LOST = AttemptRecord(number=1, outcome="lost", definite=False)
CLAIM, HOLD = Claim("ctx_1", 3, "claim_1"), Hold("ctx_1", 3, "token_1")

Move = Callable[[MongoContextRepository], Any]


class Track:
    """Racers that wait for one another at the start, each with a repository of its own."""

    def __init__(self, settings: Settings) -> None:
        self.repositories = [MongoContextRepository.connect(settings) for _ in range(RACERS)]
        self.judge = self.repositories[0]
        self.judge.create_indexes()
        self._pool = ThreadPoolExecutor(RACERS)
        self._warm_up()

    def _warm_up(self) -> None:
        """No racer opens its connection during a race."""
        for repository in self.repositories:
            repository.clock.learn(repository.client)
            repository.look()

    def race(self, *moves: Move) -> list[Any]:
        """What each move returned, all begun at once; an `IllegalTransition` counts as False."""
        together = threading.Barrier(len(moves))

        def run(repository: MongoContextRepository, move: Move) -> Any:
            together.wait(30)
            try:
                return move(repository)
            except IllegalTransition:
                return False

        return list(self._pool.map(run, self.repositories, moves))

    def place(self, **fields: Any) -> Document:
        """The context that they race for."""
        self.judge.contexts.delete_many({})
        document = a_context(**{"_id": "ctx_1", "fence": 3, "attempt": 1, **fields})
        self.judge.contexts.insert_one(document)
        return document

    def result(self) -> Document:
        """What is stored afterwards; a whole context, whoever won."""
        document = self.judge.find_context("ctx_1")
        Context.model_validate(document)
        in_flight = document["status"] in ("queued", "processing")
        assert in_flight == (document.get("lease") is not None)
        return document

    def close(self) -> None:
        self._pool.shutdown()
        for repository in self.repositories:
            repository.close()


@pytest.fixture
def track(settings: Settings) -> Iterator[Track]:
    track = Track(settings)
    yield track
    track.close()


def the_winner(answers: Sequence[Any]) -> int:
    """Which move was told that it took place; there is exactly one."""
    won = [number for number, answer in enumerate(answers) if answer]
    assert len(won) == 1, answers
    return won[0]


def claims(owner: str) -> Move:
    return lambda r: r.claim("GENERATIVE", calls=5, lease=LEASE, owner=owner)


def starts(token: str) -> Move:
    return lambda r: r.start(CLAIM, owner=f"of {token}", token=token, lease=LEASE)


def ends(name: str) -> Move:
    def move(repository: MongoContextRepository) -> bool:
        now = repository.now()
        return repository.write_back(ENDS[name](now, HOLD, now))

    return move


def leads(owner: str) -> Move:
    return lambda r: r.lead(owner, LEASE)


def gives_up(document: Document) -> Move:
    return lambda r: r.rescue_fail(document, error=ERROR, attempt=LOST)


def rescues(document: Document) -> Move:
    return lambda r: r.rescue_processing(document, delay=LEASE, attempt=LOST)


def cancel(repository: MongoContextRepository) -> bool:
    return bool(repository.cancel("ctx_1"))


def retry(repository: MongoContextRepository) -> bool:
    return bool(repository.retry("ctx_1"))


def run_now(repository: MongoContextRepository) -> bool:
    return bool(repository.run_now("ctx_1"))


def promote(repository: MongoContextRepository) -> bool:
    return repository.promote() == 1


def test_one_of_many_claims_gets_a_context(track: Track) -> None:
    """At the next fence, under its own claim id."""
    for _ in range(ROUNDS):
        track.place(status="pending")
        answers = track.race(*(claims(f"bridge:{number}") for number in range(4)))
        [claim] = answers[the_winner(answers)]
        document = track.result()
        assert (document["fence"], document["lease"]["claim_id"]) == claim[1:] == (4, claim[2])


def test_two_claims_of_many_share_them_out(track: Track) -> None:
    """None to both, none forgotten by the one that took it."""
    for _ in range(20):
        track.judge.contexts.delete_many({})
        track.judge.contexts.insert_many(a_context(_id=f"ctx_{n}") for n in range(8))
        taken = [each for answer in track.race(claims("a"), claims("b")) for each in answer]
        assert len({claim.context_id for claim in taken}) == len(taken)
        queued = {(c["_id"], c["fence"], c["lease"]["claim_id"])
                  for c in track.judge.contexts.find({"status": "queued"})}  # fmt: skip
        assert queued == set(taken)


def test_one_of_ten_starts_of_a_claim_runs(track: Track) -> None:
    """However often its message was delivered; the call is counted once."""
    for _ in range(ROUNDS):
        track.place(status="queued", lease=a_lease(token=None), attempt=0)
        answers = track.race(*(starts(f"token {number}") for number in range(RACERS)))
        winner = the_winner(answers)
        document = track.result()
        assert document == answers[winner]
        assert (document["attempt"], document["lease"]["token"]) == (1, f"token {winner}")


@pytest.mark.parametrize("name", ENDS)
def test_a_worker_and_rescue_do_not_both_have_it(track: Track, name: str) -> None:
    """A lease has run out, and its worker comes back with its reply at this very moment."""
    for _ in range(ROUNDS // 4):
        document = track.place(status="processing", lease=a_lease())
        winner = the_winner(track.race(ends(name), rescues(document)))
        after = track.result()
        assert (after["crashes"] == 1) == (winner == 1)
        if winner == 1:
            assert (after["status"], after["wait_reason"]) == ("scheduled", "crash")
            assert [each["outcome"] for each in after["attempts"]] == ["lost"]
        else:
            assert all(each["outcome"] != "lost" for each in after["attempts"])


def test_a_result_or_a_cancellation_counts(track: Track) -> None:
    """What was cancelled has no result; what has one was not cancelled."""
    for _ in range(ROUNDS):
        track.place(status="processing", lease=a_lease())
        winner = the_winner(track.race(ends("complete"), cancel))
        after = track.result()
        assert after["status"] == ("completed", "cancelled")[winner]
        assert ("results" in after) == (winner == 0)


def test_one_of_two_operators_retries(track: Track) -> None:
    """One generation more, not two; the other is told that there is nothing to retry."""
    for _ in range(ROUNDS):
        track.place(status="failed", failures=3, generation=4)
        the_winner(track.race(retry, retry))
        after = track.result()
        assert (after["status"], after["generation"], after["failures"]) == ("pending", 5, 0)


def test_a_start_or_a_cancellation_comes_first(track: Track) -> None:
    """A cancelled context is not started; one that was started may still be cancelled after it."""
    for _ in range(ROUNDS):
        track.place(status="queued", lease=a_lease(token=None), attempt=0)
        started, cancelled = track.race(starts("token_1"), cancel)
        assert cancelled
        after = track.result()
        assert after["status"] == "cancelled"
        assert after["attempt"] == 1 or started is None  # one cancelled right after is not begun


def test_a_sign_of_life_or_rescue_comes_first(track: Track) -> None:
    """Who renewed keeps it, and who lost it is told so."""
    for _ in range(ROUNDS):
        document = track.place(status="processing", lease=a_lease())
        lost, rescued = track.race(lambda r: r.renew([HOLD], LEASE), rescues(document))
        assert (lost == []) != rescued
        after = track.result()
        assert after["status"] == ("scheduled" if rescued else "processing")
        assert rescued or after["lease"]["expires_at"] > track.judge.now()


def test_one_of_two_adopts_what_a_third_overwrites(track: Track) -> None:
    """The one that adopted did so by what stands there now, or it was overwritten as a whole."""
    registry = track.judge.settings.registry
    for number in range(ROUNDS):
        track.judge.contexts.delete_many({})
        theirs = foreign(_id="ctx_1", note=number, tags=["before"])
        track.judge.contexts.insert_one(theirs)
        document = track.judge.find_context("ctx_1")
        adoption = read_foreign(
            document, registry=registry, find_template=lambda _: None, now=track.judge.now(),
            max_attempts=lambda _: 20,
        )  # fmt: skip

        def adopt(r: MongoContextRepository, document: Any = document, a: Any = adoption) -> bool:
            return r.adopt(document, read=a.read, changes_=a.changes, originals=a.originals)

        def overwrite(r: MongoContextRepository) -> bool:
            changed = {"$set": {"tags": ["after"]}}
            return r.contexts.update_one({"_id": "ctx_1"}, changed).matched_count == 1

        first, second, overwritten = track.race(adopt, adopt, overwrite)
        assert overwritten
        assert not (first and second)
        after = track.judge.find_context("ctx_1")
        assert after["tags"] == ["after"]
        assert (after.get("fence") == 0) == (first or second)
        assert (after["note"], after["status"]) == (number, "pending")


def test_a_scheduled_context_is_promoted_once_or_cancelled(track: Track) -> None:
    """By its time, by an operator who does not want to wait, or not at all."""
    for _ in range(ROUNDS):
        track.place(status="scheduled", wait_reason="retry", available_at=LONG_AGO)
        promoted, ran, cancelled = track.race(promote, run_now, cancel)
        assert not (promoted and ran)
        assert cancelled
        after = track.result()
        assert (after["status"], after["wait_reason"]) == ("cancelled", None)
        assert ran == (after["available_at"] != LONG_AGO)


def test_one_of_two_bridges_leads(track: Track) -> None:
    """Where nobody did, and where the last leader fell silent; the other one follows."""
    locks = track.judge.database["agent_locks"]
    for number in range(ROUNDS):
        if number % 2:
            locks.update_one({}, {"$set": {"owner": "a dead one", "expires_at": LONG_AGO}})
        else:
            locks.delete_many({})
        answers = track.race(leads("bridge:0"), leads("bridge:1"))
        began = Lead.TOOK_OVER if number % 2 else Lead.BEGAN
        assert set(answers) == {began, Lead.FOLLOWS}
        leader = track.judge.leader()
        assert leader is not None
        assert leader["owner"] == f"bridge:{answers.index(began)}"


def test_many_threads_of_one_writer_are_each_told_their_own(track: Track) -> None:
    """Fifty at once, some of them stale, while an operator cancels every third."""
    threads, repository = 50, track.judge
    writer = GroupWriter(repository)
    try:
        for _ in range(5):
            repository.contexts.delete_many({})
            repository.contexts.insert_many(
                a_context(_id=f"ctx_{n}", status="processing", fence=3,
                          lease=a_lease(token=f"token_{n}"))
                for n in range(threads)
            )  # fmt: skip
            together = threading.Barrier(threads + 1)

            def finish(number: int, together: threading.Barrier = together) -> bool:
                fence = 2 if number % 7 == 0 else 3
                hold = Hold(f"ctx_{number}", fence, f"token_{number}")
                attempt = AttemptRecord(number=1, outcome="completed", token=hold.token)
                write = changes.complete(
                    repository.now(), hold, results={"n": number}, attempt=attempt
                )
                together.wait(30)
                return writer.finish(write, hold)

            def cancel_some(together: threading.Barrier = together) -> set[int]:
                together.wait(30)
                other, cancelled = track.repositories[1], set()
                for number in range(0, threads, 3):
                    try:
                        other.cancel(f"ctx_{number}")
                    except IllegalTransition:
                        continue
                    cancelled.add(number)
                return cancelled

            with ThreadPoolExecutor(threads + 1) as pool:
                cancelling = pool.submit(cancel_some)
                done = list(pool.map(finish, range(threads)))
            cancelled = cancelling.result()
            for number, told in enumerate(done):
                document = repository.find_context(f"ctx_{number}")
                status = "completed" if told else document["status"]
                assert document["status"] == status
                assert told == (document.get("results") == {"n": number})
                assert (document["status"] == "cancelled") == (number in cancelled)
                assert told or number in cancelled or number % 7 == 0
    finally:
        writer.close()


def test_a_failure_is_told_once(track: Track) -> None:
    """Fail, rescue and cancel at once: one of them ends the context, and each knows whether."""
    for _ in range(ROUNDS):
        document = track.place(status="processing", lease=a_lease())
        winner = the_winner(track.race(ends("fail"), gives_up(document), cancel))
        after = track.result()
        assert after["status"] == ("failed", "failed", "cancelled")[winner]
        assert len(after["attempts"]) == (1, 1, 0)[winner]
