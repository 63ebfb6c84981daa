"""Every operation on every status, on a real server: what the table of changes has takes place, and
of all else not one byte changes; whoever asked is told the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from agent.models import TRANSITIONS, AttemptRecord, Change, Claim, Context, Document, Status
from agent.store.changes import Hold
from agent.store.group_writer import GroupWriter
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.raw import RAW
from agent.store.selection import Selection
from agent.store.spread import Spread
from agent.store.undone import Before
from tests.factories import LONG_AGO, a_context, a_lease, foreign
from tests.integration.store.players import ENDS, ERROR, permitted

LEASE = timedelta(seconds=30)
LOST = AttemptRecord(number=1, outcome="lost", definite=False)
ELSEWHERE = {Change.RETRY_BLOCKED, Change.UNBLOCK, Change.BLOCK_AGAIN}
"""Changes of requests of several steps."""


@dataclass
class Asked:
    """Whom an operation is asked of, and about which document."""

    repository: MongoContextRepository
    writer: GroupWriter
    document: Document

    @property
    def id(self) -> Any:
        return self.document["_id"]

    @property
    def status(self) -> Status:
        return Status(self.document["status"])

    @property
    def before(self) -> Before:
        """As an operator who let it run now would have left it."""
        due = self.document["available_at"]
        return Before(self.id, due, "retry", self.document["fence"], due)

    @property
    def claim(self) -> Claim:
        return Claim(self.id, self.document["fence"], self.document["lease"]["claim_id"])

    @property
    def hold(self) -> Hold:
        return Hold(self.id, self.document["fence"], self.document["lease"]["token"])

    def start(self, *, grouped: bool) -> bool:
        given: dict[str, Any] = {"owner": "worker:2", "token": "token_2", "lease": LEASE}
        if not grouped:
            return self.repository.start(self.claim, **given) is not None
        write = self.repository.start_write(self.claim, **given)
        return self.writer.start(write, self.claim, "token_2") is not None

    def end(self, name: str, *, grouped: bool) -> bool:
        now = self.repository.now()
        write = ENDS[name](now, self.hold, now)
        if grouped:
            return self.writer.finish(write, self.hold)
        return self.repository.write_back(write)


@dataclass(frozen=True)
class Operation:
    """What is asked, which change of the table it is, and from where, if not from all its sources.

    Args:
        ask: says whether it took place.
        proof: the fields that have to be those that the asker once saw.
        given: what the document has to have beside what permits every other change.
    """

    change: Change
    ask: Callable[[Asked], bool]
    proof: tuple[str, ...] = ()
    sources: frozenset[Status] | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def moves(self) -> frozenset[Status]:
        return TRANSITIONS[self.change].sources if self.sources is None else self.sources


BY_CLAIM, BY_HOLD, BY_LEASE = ("fence", "claim_id"), ("fence", "token"), ("claim_id", "token")
ENDINGS = {
    "complete": Change.COMPLETE, "fail": Change.FAIL, "fail at last": Change.FAIL,
    "retry later": Change.RESCHEDULE, "snooze": Change.RESCHEDULE, "accept": Change.RESCHEDULE,
    "release": Change.RELEASE,
}  # fmt: skip
ONLY_QUEUED = frozenset({Status.QUEUED})
RETRIED = TRANSITIONS[Change.RETRY_LATER].sources


def an_end(name: str, change: Change, grouped: bool) -> Operation:
    return Operation(change, lambda asked: asked.end(name, grouped=grouped), BY_HOLD)


OPERATIONS = {
    "claim": Operation(
        Change.CLAIM,
        lambda a: bool(a.repository.claim("GENERATIVE", calls=9, lease=LEASE, owner="bridge:2")),
    ),
    "start": Operation(Change.START, lambda a: a.start(grouped=False), BY_CLAIM),
    "start in a group": Operation(Change.START, lambda a: a.start(grouped=True), BY_CLAIM),
    **{
        f"{name}{' in a group' if grouped else ''}": an_end(name, change, grouped)
        for name, change in ENDINGS.items()
        for grouped in (False, True)
    },
    "release what is queued": Operation(
        Change.RELEASE, lambda a: a.repository.release_queued(a.claim), BY_CLAIM, ONLY_QUEUED
    ),
    "hand over": Operation(
        Change.RELEASE, lambda a: a.repository.hand_over(a.claim, a.hold.token),
        ("fence", "claim_id", "token"),
    ),
    "rescue what is queued": Operation(
        Change.RESCUE_QUEUED, lambda a: a.repository.rescue_queued(a.document), BY_LEASE
    ),
    "rescue": Operation(
        Change.RESCUE_PROCESSING,
        lambda a: a.repository.rescue_processing(a.document, delay=LEASE, attempt=LOST), BY_LEASE,
    ),
    "give up": Operation(
        Change.RESCUE_FAIL,
        lambda a: a.repository.rescue_fail(a.document, error=ERROR, attempt=LOST), BY_LEASE,
    ),
    "give up barely": Operation(
        Change.RESCUE_FAIL,
        lambda a: a.repository.rescue_fail(a.document, error=ERROR, attempt=None), BY_LEASE,
    ),
    "promote": Operation(Change.PROMOTE, lambda a: a.repository.promote() == 1),
    "run now": Operation(
        Change.PROMOTE, lambda a: permitted(lambda: a.repository.run_now(a.id))
    ),
    "postpone": Operation(
        Change.POSTPONE,
        lambda a: permitted(lambda: a.repository.postpone(a.id, a.repository.now() + LEASE)),
        given={"deadline_at": None},
    ),
    "take back": Operation(
        Change.TAKE_BACK,
        lambda a: a.repository.undo_run_now([a.before]).changed == 1, ("fence",),
    ),
    "expire": Operation(Change.EXPIRE, lambda a: a.repository.expire([a.id]) == 1),
    "cancel": Operation(Change.CANCEL, lambda a: permitted(lambda: a.repository.cancel(a.id))),
    "retry": Operation(Change.RETRY, lambda a: permitted(lambda: a.repository.retry(a.id))),
    "retry later": Operation(
        Change.RETRY_LATER,
        lambda a: a.repository.retry_ids(
            [a.id], Selection(status=a.status if a.status in RETRIED else Status.FAILED),
            spread=Spread(a.repository.now() + LEASE, 60),
        ).changed == 1,
    ),
}  # fmt: skip


@pytest.fixture
def writer(repository: MongoContextRepository) -> Iterator[GroupWriter]:
    writer = GroupWriter(repository)
    yield writer
    writer.close()


def stored(repository: MongoContextRepository, status: Status, **fields: Any) -> Document:
    """A context of which everything but its status permits every change."""
    given = {"fence": 3, "attempt": 1, "lease": a_lease(), "deadline_at": LONG_AGO, **fields}
    document = a_context(_id="ctx_1", status=status, **given)
    repository.contexts.delete_many({})
    repository.contexts.insert_one(document)
    return repository.find_context("ctx_1")


def bytes_of(repository: MongoContextRepository) -> bytes:
    found = repository.contexts.with_options(RAW).find_one({"_id": "ctx_1"})
    assert found is not None
    return bytes(found.raw)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_moves_the_statuses_of_its_line_and_no_other(
    repository: MongoContextRepository, writer: GroupWriter, name: str
) -> None:
    """From all eight; what stays where it was stays byte for byte."""
    operation = OPERATIONS[name]
    for status in Status:
        document = stored(repository, status, **operation.given)
        before = bytes_of(repository)
        told = operation.ask(Asked(repository, writer, document))
        after = repository.find_context("ctx_1")
        if status in operation.moves:
            assert told, status
            assert after["status"] == TRANSITIONS[operation.change].target
            Context.model_validate({"fence": 0, **after})
        else:
            assert bytes_of(repository) == before, status
            # what is pending where a release would put it, its holder is told to have released
            assert not told or (name, status) == ("release in a group", Status.PENDING)


@pytest.mark.parametrize(
    ("name", "proof"),
    [(name, proof) for name, each in OPERATIONS.items() for proof in each.proof],
)
def test_who_holds_another_claim_changes_not_one_byte(
    repository: MongoContextRepository, writer: GroupWriter, name: str, proof: str
) -> None:
    """Whatever the status: an older fence, another claim or another token is no proof."""
    stale = {"fence": {"fence": 2}}.get(proof, {"lease": a_lease(**{proof: "another"})})
    for status in Status:
        document = stored(repository, status)
        before = bytes_of(repository)
        told = OPERATIONS[name].ask(Asked(repository, writer, {**document, **stale}))
        assert bytes_of(repository) == before, status
        pending = status is Status.PENDING and proof != "fence"
        assert not told or (name == "release in a group" and pending)


@pytest.mark.parametrize("status", Status)
def test_adoption_takes_only_what_is_pending(
    repository: MongoContextRepository, status: Status
) -> None:
    """Another program's document in any other status stays as it was."""
    for adopts in (True, False):
        repository.contexts.delete_many({})
        repository.contexts.insert_one(foreign(_id="ctx_1", status=str(status)))
        document, before = repository.find_context("ctx_1"), bytes_of(repository)
        if adopts:
            told = repository.adopt(document, read={}, changes_={"fence": 0}, originals={})
        else:
            told = repository.adopt_fail(document, read={}, error=ERROR)
        assert told == (status is Status.PENDING)
        assert (bytes_of(repository) != before) == told
        target = status if adopts or not told else TRANSITIONS[Change.ADOPT_FAIL].target
        assert repository.find_context("ctx_1")["status"] == target


@pytest.mark.parametrize("status", Status)
def test_only_what_is_processing_is_renewed(
    repository: MongoContextRepository, status: Status
) -> None:
    """And whoever has lost it is told so."""
    document = stored(repository, status)
    hold, before = Hold("ctx_1", 3, document["lease"]["token"]), bytes_of(repository)
    lost = repository.renew([hold], LEASE)
    assert (lost == []) == (status is Status.PROCESSING)
    assert (bytes_of(repository) != before) == (lost == [])


def test_every_change_of_the_table_is_tried() -> None:
    """A new line of the table wants its operation here."""
    tried = {operation.change for operation in OPERATIONS.values()} | {Change.ADOPT_FAIL}
    assert tried | ELSEWHERE == set(Change)
    for change in tried - {Change.ADOPT_FAIL}:
        moves = [each.moves for each in OPERATIONS.values() if each.change is change]
        assert frozenset().union(*moves) == TRANSITIONS[change].sources
