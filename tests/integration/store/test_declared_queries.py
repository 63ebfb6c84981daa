"""What is really asked of the server, beside the queries that are declared with their indexes.

The servers of these tests scan where a real MongoDB would not: a missing index shows here only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from pymongo.monitoring import CommandListener, CommandStartedEvent

from agent.models import AttemptRecord, Claim, Document, ErrorRecord, Status
from agent.settings import Settings
from agent.store import dead_letters
from agent.store.changes import Hold
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.indexes import INDEXES, QUERIES, Index, Query
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import UNKNOWN, Selection
from agent.store.undone import Before
from tests.factories import LONG_AGO, a_context, a_lease, a_template

LEASE = timedelta(seconds=30)
ATTEMPT = AttemptRecord(number=1, outcome="lost")
ERROR = ErrorRecord(type="X", message="x")
IN_A_CENTURY = datetime(2124, 5, 1, tzinfo=UTC)
CLAIM = Claim("ctx_1", 3, "claim_1")
EVERYTHING = Selection(
    error_type="X", tag=("team", "north"), template_id="greeting", user_id="u1", since=LONG_AGO
)
BY_NAME = {index.name: index for index in INDEXES}
BEFORE = Before("scheduled", LONG_AGO, "retry", 0, LONG_AGO)


def with_few_counted(ask: Callable[[], object]) -> object:
    """Ask as if there were too many failures to be counted together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_letters, "COUNTED", 0)
        return ask()


Ask = Callable[[MongoContextRepository], object]

ASKED: dict[str, Ask] = {
    "claim": lambda r: r.claim("ANALYSIS", calls=2, polls=2, lease=LEASE, owner="b"),
    "claim by age": lambda r: r.claim("ANALYSIS", calls=2, lease=LEASE, owner="b", by_age=True),
    "claim a probe": lambda r: r.claim(
        "ANALYSIS", calls=1, polls=1, most=1, lease=LEASE, owner="b", avoid="ctx_1"
    ),
    "queued": lambda r: r.queued(),
    "in flight": lambda r: r.in_flight(),
    "count remote": lambda r: r.count_remote(),
    "start": lambda r: r.start(CLAIM, owner="w", token="t", lease=LEASE),
    "renew": lambda r: r.renew([Hold("ctx_1", 3, "t")], LEASE),
    "fate": lambda r: r.fate(Hold("ctx_1", 3, "t")),
    "find by ids": lambda r: r.find_by_ids(["ctx_1"]),
    "release": lambda r: r.release_queued(CLAIM),
    "hand over": lambda r: r.hand_over(CLAIM, None),
    "look": lambda r: r.look(),
    "next due": lambda r: r.next_due(),
    "promote": lambda r: r.promote(),
    "promote undated": lambda r: r.promote_undated(),
    "expired leases": lambda r: r.expired_leases(),
    "without lease": lambda r: r.without_lease(),
    "rescue queued": lambda r: r.rescue_queued(a_context(lease=a_lease())),
    "rescue processing": lambda r: r.rescue_processing(a_context(), delay=LEASE, attempt=ATTEMPT),
    "rescue fail": lambda r: r.rescue_fail(a_context(), error=ERROR, attempt=ATTEMPT),
    "overdue": lambda r: r.overdue(),
    "expire": lambda r: r.expire(["ctx_1"]),
    "foreign": lambda r: r.foreign(),
    "foreign fences": lambda r: r.foreign_fences(),
    "readable": lambda r: r.readable(["ctx_1"]),
    "adopt": lambda r: r.adopt(a_context(), read={}, changes_={"fence": 0}, originals={}),
    "adopt fail": lambda r: r.adopt_fail(a_context(), read={}, error=ERROR),
    "find": lambda r: r.find_context("done"),
    "find status": lambda r: r.find_status("done"),
    "list": lambda r: r.list_contexts(),
    "list by status": lambda r: r.list_contexts(status=Status.FAILED),
    "list by service": lambda r: r.list_contexts(service_type="ANALYSIS"),
    "list by both": lambda r: r.list_contexts(service_type="ANALYSIS", status=Status.FAILED),
    "list some": lambda r: r.list_contexts(
        kind="k", error_type="X", tag=("team", "north"), since=LONG_AGO
    ),
    "page": lambda r: r.page_of_contexts(Selection(), limit=2),
    "page of some": lambda r: r.page_of_contexts(EVERYTHING, limit=2),
    "page of parents": lambda r: r.page_of_parents("BATCH", limit=2, status=Status.FAILED),
    "page of parents further": lambda r: r.page_of_parents(
        "BATCH", limit=2, after=(IN_A_CENTURY, "x")
    ),
    "search parents": lambda r: r.search_parents("BATCH", limit=2, status=Status.FAILED),
    "search parents further": lambda r: r.search_parents(
        "BATCH", limit=2, status=Status.FAILED, after=(IN_A_CENTURY, "x")
    ),
    "page of audit": lambda r: r.page_of_audit(limit=2),
    "page of audit of somebody": lambda r: r.page_of_audit(limit=2, who="ann"),
    "page of audit of somebody further": lambda r: r.page_of_audit(
        limit=2, who="ann", after=(IN_A_CENTURY, "x")
    ),
    "page of audit further": lambda r: r.page_of_audit(limit=2, after=(IN_A_CENTURY, "x")),
    "search": lambda r: r.search(EVERYTHING, limit=2),
    "search further": lambda r: r.search(EVERYTHING, limit=2, after=(IN_A_CENTURY, "x")),
    "page further": lambda r: r.page_of_contexts(EVERYTHING, limit=2, after=(IN_A_CENTURY, "x")),
    "prioritise": lambda r: r.prioritise("waiting", 1),
    "set deadline": lambda r: r.set_deadline("waiting", IN_A_CENTURY),
    "postpone": lambda r: r.postpone("scheduled", IN_A_CENTURY),
    "dead letters": lambda r: r.dead_letters(since=LONG_AGO),
    "dead letters of a service": lambda r: r.dead_letters(service_type="ANALYSIS"),
    "dead letters one by one": lambda r: with_few_counted(r.dead_letters),
    "dead letters one by one since": lambda r: with_few_counted(
        lambda: r.dead_letters(service_type="ANALYSIS", since=LONG_AGO)
    ),
    "count retriable": lambda r: r.count_retriable(EVERYTHING),
    "count cancellable": lambda r: r.count_cancellable(Selection(service_type="ANALYSIS")),
    "retry matching": lambda r: r.retry_matching(EVERYTHING),
    "retry matching of a service": lambda r: r.retry_matching(
        Selection(service_type="X", tag="team")
    ),
    "retry a kind": lambda r: r.retry_matching(Selection(service_type="X", kind="k")),
    "retry a kind anywhere": lambda r: r.retry_matching(Selection(kind="k")),
    "retry the unknown": lambda r: r.retry_matching(Selection(service_type="X", kind=UNKNOWN)),
    "retry the cancelled": lambda r: r.retry_matching(
        Selection(status=Status.CANCELLED, since=LONG_AGO)
    ),
    "cancel matching": lambda r: r.cancel_matching(Selection(user_id="user:0")),
    "count by status": lambda r: r.count_by_status(),
    "count open": lambda r: r.count_open(9),
    "oldest pending": lambda r: r.oldest_pending(),
    "cancel": lambda r: r.cancel("waiting"),
    "run now": lambda r: r.run_now("scheduled"),
    "retry": lambda r: r.retry("failed"),
    "probe fate": lambda r: r.probe_fate(CLAIM),
    "unsettled": lambda r: r.unsettled(),
    "parents": lambda r: r.parents(["family"]),
    "steps of": lambda r: r.steps_of(["family"]),
    "marks of": lambda r: r.marks_of(["done"]),
    "expanding batches": lambda r: r.expanding_batches(2),
    "count children": lambda r: r.count_children("family"),
    "cancel children": lambda r: r.cancel_children("nobody"),
    "retry children": lambda r: r.retry_children("nobody", 7),
    "keep children": lambda r: r.keep_children("batch", LONG_AGO),
    "results of": lambda r: r.results_of(["done"]),
    "children of": lambda r: r.children_of("family"),
    "statuses before": lambda r: r.statuses_before({"after": ["done"]}),
    "cancel a whole": lambda r: r.cancel("family"),
    "retry a whole": lambda r: r.retry("failed_family"),
    "insert family": lambda r: r.insert_family(a_context(_id="family"), [a_context(_id="done")]),
    "to be tried again": lambda r: r.to_be_tried_again(9),
    "count again": lambda r: r.count_again(),
    "newest failures": lambda r: r.newest_failures(9),
    "count failures": lambda r: r.count_failures(),
    "count waiting": lambda r: r.count_waiting(),
    "newest ended": lambda r: r.newest_ended(9),
    "failures of": lambda r: r.failures_of("batch"),
    "run chosen now": lambda r: r.run_chosen_now(["due"]),
    "postpone chosen": lambda r: r.postpone_chosen(["scheduled"], IN_A_CENTURY),
    "cancel chosen": lambda r: r.cancel_chosen(["scheduled"]),
    "undo run now": lambda r: r.undo_run_now([BEFORE]),
    "undo postpone": lambda r: r.undo_postpone([BEFORE], IN_A_CENTURY),
    "undo cancel": lambda r: r.undo_cancel([BEFORE]),
    "retriable ids": lambda r: r.retriable_ids(Selection(service_type="X", kind="k"), limit=9),
    "retry ids": lambda r: r.retry_ids(["failed"], Selection(service_type="X", kind="k")),
    "untold ends": lambda r: r.untold_ends(),
    "find template": lambda r: r.find_template("greeting"),
    "find template version": lambda r: r.find_template("greeting", "1.0"),
    "store template": lambda r: r.store_template(a_template()),
    "list templates": lambda r: r.list_templates(10),
    "held by": lambda r: r.held_by(["w1", "w2"], 9),
    "upcoming schedules": lambda r: r.upcoming_schedules(),
}
"""Every operation on contexts and templates."""


class Sent(CommandListener):
    """Every command that was sent."""

    def __init__(self) -> None:
        self.commands: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command)

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


@dataclass(frozen=True)
class Asked:
    """A find, an aggregation or a write, as far as an index is concerned."""

    collection: str
    filter: Document
    sort: tuple[str, ...]
    hint: str | None

    @property
    def equality(self) -> Document:
        return {name: value for name, value in self.filter.items() if _is_equality(value)}

    @property
    def others(self) -> dict[str, Document]:
        """What is compared otherwise."""
        return {name: each for name, each in self.filter.items() if not _is_equality(each)}

    def is_served(self, query: Query) -> bool:
        """Whether this is what the query declares, and its index may serve it."""
        index = BY_NAME[query.served_by]
        if index.collection != self.collection or not self._implies(index):
            return False
        if self.hint not in (None, index.name):
            return False
        beside = set(query.beside)
        compared = {*map(_field, (*self.equality, *self.others))} - _fixed_by(index)
        declared = {*query.equality, *query.range, *query.sort, *beside, *query.perhaps}
        sort = tuple(name for name in self.sort if name not in beside)
        reads_all = not (query.equality or query.sort or query.range)
        return (
            {*query.equality} <= {*self.equality}
            and {*query.range} <= {*self.others}
            and sort == query.sort
            and compared <= declared
            and beside <= compared | {*self.sort}
            and (not reads_all or self.hint == index.name)
        )

    def _implies(self, index: Index) -> bool:
        """Whether the filter asks for nothing that a partial index leaves out."""
        if index.sparse and index.keys[0] not in {*self.equality, *self.others}:
            return False
        return all(self._demands(name, wanted) for name, wanted in (index.partial or {}).items())

    def _demands(self, name: str, wanted: Any) -> bool:
        if not isinstance(wanted, dict):
            return bool(self.equality.get(name) == wanted)
        if "$gt" in wanted and name in self.equality:
            values = self.equality[name].get("$in", ())
            return bool(values) and all(value > wanted["$gt"] for value in values)
        compared = self.others.get(name, {})
        if wanted == {"$exists": True}:
            return (
                name in self.equality
                or wanted == compared
                or bool({"$lt", "$lte", "$gt", "$gte"} & set(compared))
            )
        return wanted.items() <= compared.items()


def _field(name: str) -> str:
    """A tag has any name."""
    return "tags" if name.startswith("tags.") else name


def _is_equality(value: Any) -> bool:
    operators = {name for name in value if name.startswith("$")} if isinstance(value, dict) else ()
    return set(operators) <= {"$in", "$eq"}


def _fixed_by(index: Index) -> set[str]:
    """Fields that a partial index has settled already."""
    return {*(index.partial or {})} - {*index.keys}


def read_command(command: Mapping[str, Any]) -> Iterator[Asked]:
    """The questions in a command; none in one that asks no collection of ours."""
    if "find" in command:
        sort = command.get("sort", {})
        assert len(set(sort.values())) <= 1, "an index is read in one direction"
        yield Asked(command["find"], dict(command["filter"]), tuple(sort), command.get("hint"))
    elif "aggregate" in command:
        first, *others = command["pipeline"]
        sort = others[0].get("$sort", {}) if others else {}
        match = dict(first.get("$match", {}))
        yield Asked(command["aggregate"], match, tuple(sort), command.get("hint"))
    elif "update" in command:
        for update in command["updates"]:
            yield Asked(command["update"], dict(update["q"]), (), None)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def watched(quick_settings: Settings, sent: Sent) -> Iterator[MongoContextRepository]:
    """A repository whose commands are seen; there is something to find for each of them."""
    clock = ServerClock()
    client = connect(quick_settings, clock, cast(Any, sent))
    repository = MongoContextRepository(client, clock, quick_settings)
    repository.create_indexes()
    repository.contexts.insert_many(
        [
            *(a_context(_id=f"p{n}", service_type="ANALYSIS") for n in range(9)),
            *(a_context(_id=status, status=status) for status in ("waiting", "failed")),
            a_context(_id="scheduled", status="scheduled", available_at=IN_A_CENTURY),
            a_context(_id="due", status="scheduled"),
            a_context(_id="done", status="completed"),
            a_context(_id="family", kind="parent", status="processing"),
            a_context(_id="failed_family", kind="parent", status="failed"),
            a_context(_id="item", kind="parent", status="completed", parent_id="batch"),
        ]
    )
    repository.now()
    sent.commands.clear()
    yield repository
    client.close()


def asked_by(repository: MongoContextRepository, sent: Sent, ask: Ask) -> list[Asked]:
    """What an operation asks beside documents by their `_id`, which needs no index of ours."""
    sent.commands.clear()
    ask(repository)
    found = [each for command in sent.commands for each in read_command(command)]
    assert found, "it asks something"
    return [each for each in found if "_id" not in each.equality]


@pytest.mark.parametrize("name", ASKED)
def test_whatever_is_asked_is_declared(
    watched: MongoContextRepository, sent: Sent, name: str
) -> None:
    """Equality, sort and range as they stand in the index; a partial index leaves nothing out."""
    for asked in asked_by(watched, sent, ASKED[name]):
        assert [query.name for query in QUERIES if asked.is_served(query)] != [], asked


def test_whatever_is_declared_is_asked(watched: MongoContextRepository, sent: Sent) -> None:
    """An index for a query that nobody sends costs every write for nothing."""
    served = {
        query.name
        for ask in ASKED.values()
        for asked in asked_by(watched, sent, ask)
        for query in QUERIES
        if asked.is_served(query)
    }
    assert served == {query.name for query in QUERIES}


def test_no_write_of_contexts_looks_for_them(watched: MongoContextRepository, sent: Sent) -> None:
    """Each names its `_id`s: a write that searches holds the server up."""
    searching = []
    for name, ask in ASKED.items():
        sent.commands.clear()
        ask(watched)
        for command in sent.commands:
            updates = command.get("updates", []) if command.get("update") == "contexts" else []
            searching += [name for update in updates if "_id" not in update["q"]]
    assert searching == []


def test_every_operation_is_among_them() -> None:
    """A new one is added to the list above, or here with the reason why not."""
    elsewhere = {
        *("connect", "ping", "wait_until_there", "create_indexes", "warnings", "close"),  # none
        *("now", "start_write", "started", "write_back", "watch_inserts", "insert_contexts"),  # _id
        *("write_each", "insert_missing"),  # _id
        *("service_states", "pause_service", "resume_service", "end_pause", "note_probe"),  # few
        *("lead", "give_up_lead", "leader"),  # one document
        *("find_purpose", "list_purposes", "store_purpose"),  # few
        *("reserve", "keep_answer", "give_back", "take_unique", "give_unique_back"),  # _id
        *("states_of", "watch_changes", "wait_for_change", "fates_of"),  # _id, or a stream
        *("insert_schedule", "replace_schedule", "find_schedule", "list_schedules"),  # _id
        *("pause_schedule", "give_up_schedule", "resume_schedule", "remove_schedule"),  # _id
        *("advance_schedule", "note_run"),  # _id
        *("note_deed", "note_outcome", "has_outcome"),  # _id
        "estimated_count",  # reads nothing
        *("keep_rows", "drop_rows", "rows_of_chunk", "keep_for_good", "insert_batch"),  # _id
        *(
            "store_items",
            "give_up_expanding",
            "find_batch",
            "items_of",
            "read_items",
        ),  # _id, or its range
    }
    operations = {
        name
        for name in dir(MongoContextRepository)
        if not name.startswith("_") and callable(getattr(MongoContextRepository, name))
    }
    words = {name.replace(" ", "_") for name in ASKED}
    renamed = {"page": "page_of_contexts"}
    renamed |= {"find": "find_context", "list": "list_contexts", "release": "release_queued"}
    named = {renamed.get(word, word) for word in words}
    assert operations - elsewhere - named == set()
