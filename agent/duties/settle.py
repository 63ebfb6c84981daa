"""Settle: what follows for parents and waiting steps from what has become of their children.

The rule is that of docs/spec/README.md: a parent is read before its children, every write of it
asks for the fence that was read and raises it, and marks are taken away last. So any number of
processes may settle at once, and each may die anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agent.duties.plan import (
    Plan,
    as_date,
    is_cancelled,
    is_given_up,
    kept_with,
    leaves,
    plan_reopening,
    plan_request,
    recount,
    reopens,
    tells,
    token_of,
    told,
    total_of,
)
from agent.logs import get_logger
from agent.models import FINAL, PARENT, Document, context_key
from agent.store import parent_changes
from agent.store.changes import Write
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.parents import LOOK_AHEAD

ROUNDS = 20
"""In a row, before something else gets its turn."""
PARENTS_AT_ONCE = 50
"""Their steps are read with one question."""
COUNTED_A_SECOND = 50_000
"""Of a batch: it is counted only so often that so many children a second are."""
LONGEST_PACE = timedelta(seconds=30)

log = get_logger()


class Settle:
    """Settles what has changed. Idempotent: done twice, or by two, it comes to the same.

    Args:
        on_expanding: told of a batch whose rows are not all items yet.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        on_expanding: Callable[[], None] = lambda: None,
    ) -> None:
        self._repository = repository
        self._on_expanding = on_expanding

    def run(self) -> bool:
        """Settle all that there is, within bounds; whether anything may begin now.

        Raises:
            StoreUnavailable: MongoDB did not answer; the next run goes on.
        """
        began = False
        for _ in range(ROUNDS):
            found = self._repository.unsettled()
            if not found:
                break
            done, begins = self._settle(found)
            began = began or begins
            if not done:  # somebody else is at the same parents
                break
        return began

    def _settle(self, found: Sequence[Document]) -> tuple[bool, bool]:
        """Look at what is unsettled; whether anything was written, and whether anything begins."""
        marked: dict[str | None, list[Document]] = {}
        for document in found:
            marked.setdefault(_whose(document), []).append(document)
        done = began = False
        ids = list(marked)
        for start in range(0, len(ids), PARENTS_AT_ONCE):
            some, begins = self._look(ids[start : start + PARENTS_AT_ONCE], marked)
            done, began = done or some, began or begins
        return done, began

    def _look(
        self, ids: Sequence[str | None], marked: Mapping[str | None, Sequence[Document]]
    ) -> tuple[bool, bool]:
        parents = self._repository.parents([each for each in ids if each is not None])
        orphans = [
            parent_changes.unmark(document["_id"], token_of(document))
            for each in ids
            if each not in parents
            for document in marked[each]
        ]
        done = bool(self._repository.write_each(orphans))
        for parent in filter(_is_asked, parents.values()):
            done = self._carry_out(parent) or done
        rest = [parent for parent in parents.values() if not _is_asked(parent)]
        some, began = self._settle_requests([each for each in rest if _lists_steps(each)])
        done = done or some
        for batch in rest:
            if not _lists_steps(batch):
                done = self._settle_batch(batch, marked[batch["_id"]]) or done
        return done, began

    # What a person has asked of a whole

    def _carry_out(self, parent: Document) -> bool:
        """Begin anew what was asked for; then the parent is looked at as any other."""
        asked = parent["retrying"]
        whole = self._repository.retry_children(
            parent["_id"], asked["round"], fresh_key=asked.get("fresh_key")
        )
        if whole:
            now = self._repository.now()
            return self._repository.write_each([parent_changes.retried(now, parent)]) == 1
        return True

    # Requests of several steps

    def _settle_requests(self, parents: Sequence[Document]) -> tuple[bool, bool]:
        """Parents whose steps are read together; where a write fails, each is looked at alone."""
        if not parents:
            return False, False
        families: dict[Any, list[Document]] = {parent["_id"]: [] for parent in parents}
        for child in self._repository.steps_of([*families]):
            families[child["parent_id"]].append(child)
        now = self._repository.now()
        parents = [each for each in parents if self._is_read(each, families[each["_id"]], now)]
        retention = self._repository.retention
        plans = [
            plan_request(parent, families[parent["_id"]], now, retention) for parent in parents
        ]
        done, whole = self._do(plans)
        began = any(plan.began for plan in plans)
        if whole or len(parents) == 1:
            self._tell(parents, plans, whole)
            return done, began
        fresh = self._repository.parents([*families]).values()
        alone = [self._settle_requests([parent]) for parent in fresh if not _is_asked(parent)]
        return done or any(each for each, _ in alone), began or any(each for _, each in alone)

    def _is_read(self, parent: Document, steps: Sequence[Document], now: datetime) -> bool:
        """Whether these are all of its steps. What moves in the index while it is read may be
        missing: a request is not given up for that, but looked at again."""
        if not is_given_up(parent, len(steps), now):
            return True
        return sum(self._repository.count_children(parent["_id"]).values()) < total_of(parent)

    def _do(self, plans: Sequence[Plan]) -> tuple[bool, bool]:
        """Whether anything was written, and whether each parent was that had to be."""
        repository = self._repository
        for plan in plans:
            if plan.keeps is not None and not repository.keep_children(*plan.keeps):
                plan.parent, plan.steps, plan.marks = None, [], []  # it is looked at again
        moved = repository.write_each([write for plan in plans for write in plan.steps])
        wanted = [plan.parent for plan in plans if plan.parent is not None]
        written = repository.write_each(wanted)
        if written < len(wanted):
            return bool(moved or written), False
        unmarked = repository.write_each([write for plan in plans for write in plan.marks])
        return bool(moved or written or unmarked), True

    # Batches, whose children do not depend on each other, and may be very many

    def _settle_batch(self, parent: Document, marked: Sequence[Document]) -> bool:
        """Whether anything was written."""
        if "expanding" in parent:
            self._on_expanding()
        now = self._repository.now()
        # they are read after their parent; what was seen of them before counts for nothing
        ids = [each["_id"] for each in marked if each["_id"] != parent["_id"]]
        children = self._repository.marks_of(ids) if ids else []
        children = [child for child in children if "unsettled" in child]
        reopening = [child for child in children if reopens(child)]
        if reopening and parent.get("status") in FINAL:
            return self._do_one(parent, plan_reopening(parent, reopening, now))
        due = as_date((parent.get("unsettled") or {}).get("at"), now)
        plan = Plan(marks=[_heard(child) for child in children])
        if parent.get("status") in FINAL:
            plan.keeps = kept_with(parent) if "unsettled" in parent else None
            plan.parent = leaves(parent, now)
        elif due > now + LOOK_AHEAD or children:
            pace = timedelta(seconds=total_of(parent) / COUNTED_A_SECOND)
            plan.parent = parent_changes.note(
                now, parent, look_at=min(due, now + min(pace, LONGEST_PACE))
            )
        else:
            return self._count_batch(parent, now)
        return self._do_one(parent, plan)

    def _count_batch(self, parent: Document, now: datetime) -> bool:
        counts = self._repository.count_children(parent["_id"])
        there = sum(counts.values())
        is_open = any(count and status not in FINAL for status, count in counts.items())
        if is_open and (is_given_up(parent, there, now) or is_cancelled(parent)):
            self._repository.cancel_children(parent["_id"], fence=parent["fence"])
            return True
        plan = Plan()
        recount(plan, parent, counts, (), now, retention=self._repository.retention)
        return self._do_one(parent, plan)

    def _do_one(self, parent: Document, plan: Plan) -> bool:
        done, whole = self._do([plan])
        self._tell([parent], [plan], whole)
        return done

    def _tell(self, parents: Sequence[Document], plans: Sequence[Plan], whole: bool) -> None:
        for parent, plan in zip(parents, plans, strict=True):
            if whole and plan.ends is not None:
                log.info(
                    "parent.ended", context_id=context_key(parent["_id"]), status=str(plan.ends)
                )


def _whose(document: Document) -> str | None:
    """The id of the parent that a mark points to: of a parent its own, unless it has something to
    tell the batch that it is part of."""
    own = document.get("kind") == PARENT and not tells(document)
    whose = document["_id"] if own else document.get("parent_id")
    return whose if isinstance(whose, str) else None


def _heard(child: Document) -> Write:
    """A child of a batch that is open, and is counted anew."""
    if child.get("kind") == PARENT:
        return told(child)
    return parent_changes.unmark(child["_id"], token_of(child))


def _is_asked(parent: Document) -> bool:
    asked = parent.get("retrying")
    is_read = isinstance(asked, dict) and isinstance(asked.get("round"), int)
    return parent.get("status") not in FINAL and is_read


def _lists_steps(parent: Document) -> bool:
    keys = parent.get("steps")
    return isinstance(keys, list) and all(isinstance(key, str) for key in keys)
