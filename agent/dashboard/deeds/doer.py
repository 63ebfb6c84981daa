"""Changes of many contexts: begun, gone on with in pieces, stopped, and taken back.

Each is one entry of the audit, which gets its outcome when the last piece is done: a deed that
nobody has finished has none. A press does what it can in a second; the page it leads to goes on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request

from agent.dashboard import words
from agent.dashboard.deeds.said import KINDS, UNDO
from agent.dashboard.deeds.work import (
    caught_up,
    counted,
    may_be_done_again,
    moment_of,
    passed_over,
    work,
)
from agent.dashboard.entry.sign_in import asking_address
from agent.dashboard.house import House, reason_of
from agent.errors import BrokerUnavailable, RequestInvalid
from agent.projections.deeds import Deeds, DeedState
from agent.projections.doorbell import VIEWS
from agent.projections.view_pages import RetriesView
from agent.store.audit import Deed
from agent.store.undone import Before
from agent.words import moment

BUDGET_SECONDS = 1.0
"""For so long one press works before it shows how far it is."""
PIECE = 250
"""Changed in one go: about a tenth of a second."""
PATIENCE_SECONDS = 10.0
"""For the piece that is being done, before a deed is stopped."""
RINGS = ("foreign", "settle", VIEWS)
"""When it is over: each has the bridge read much."""
TOO_LATE = "That can be taken back for ten minutes, and these are over. Nothing was changed."


@dataclass(frozen=True, slots=True)
class Doer:
    """Does them.

    Args:
        view: of retries, which shows at once what was done.
    """

    house: House
    deeds: Deeds
    view: RetriesView

    @classmethod
    def of(cls, house: House, view: RetriesView | None = None) -> Doer:
        """Put together; no server is asked."""
        namespace = house.settings.namespace
        view = view or RetriesView(house.client, namespace)
        return cls(house, Deeds(house.client, namespace), view)

    def begin(
        self, request: Request, kind: str, on: str, items: Sequence[Any], *, back: str,
        done: str | None = None, **more: Any,
    ) -> DeedState:  # fmt: skip
        """Write down what is about to be done, and do what can be done of it in a second.

        Args:
            on: to what, in words.
            items: ids as words, or as JSON where they are retried.
            back: the page that is shown when it is over.
            done: for the audit, where that is not the word of its kind.
            more: what its kind needs to be told.

        Raises:
            StoreUnavailable: MongoDB did not answer. What was begun can be gone on with.
            BrokerUnavailable: Redis did not answer, and nothing is done.
        """
        told = self._told(request, kind, on, back, **more)
        deed_id = self._note(request, done or KINDS[kind].done, on, reason_of(request))
        written = [json.dumps(each) for each in items]
        state = DeedState(deed_id, told, total=len(written))
        try:
            self.deeds.begin(deed_id, told, written)
        except BrokerUnavailable:
            if kind == "retry":  # which may be done twice, if Redis has it all the same
                return self._without_redis(state, written)
            said = "Redis did not answer"
            self.house.repository.note_outcome(deed_id, count=0, error=said)
            raise
        return self.go_on(state)

    def take_back(self, request: Request, deed_id: str) -> DeedState:
        """Take back what a deed has done, as far as nothing has gone on since.

        Raises:
            RequestInvalid: it cannot be taken back, or not any more; the message is for people.
        """
        of = self.deeds.find(deed_id)
        if of is not None and not of.is_over:
            raise RequestInvalid("That is still going on: stop it first.")
        if of is not None and of.is_undone:
            raise RequestInvalid("That was taken back already.")
        if of is None or not of.noted:
            raise RequestInvalid(TOO_LATE)
        kind, told = f"{UNDO}{of.told['kind']}", of.told
        when = moment(datetime.fromtimestamp(told["at"], self.house.repository.now().tzinfo))
        why = reason_of(request) or f"takes back what {told['who']} did at {when}"
        new = self._told(request, kind, told["on"], told["back"], until=told.get("until"))
        new_id = self._note(request, KINDS[kind].done, told["on"], why)
        count = self.deeds.begin_undo(new_id, deed_id, new)
        if not count:
            self.house.repository.note_outcome(new_id, count=0, error="it was taken back already")
            raise RequestInvalid("That was taken back already.")
        return self.go_on(DeedState(new_id, new, total=count))

    def go_on(self, state: DeedState) -> DeedState:
        """Do the next pieces, for about a second, unless another process does."""
        with self.deeds.held(state.id) as is_ours:
            found = self.deeds.find(state.id)
            if not is_ours or found is None or found.is_over:
                return found or state
            if self.house.repository.has_outcome(state.id):  # given up, or done without Redis
                self.deeds.end(state.id)
                return replace(found, is_over=True)
            if not may_be_done_again(found, self.house.repository.now().timestamp()):
                found = passed_over(found)
            state, began, done = found, time.monotonic(), list[str]()
            try:
                while state.left:
                    state, items = self._piece(state)
                    done += items
                    if time.monotonic() - began >= BUDGET_SECONDS:
                        break
            except RequestInvalid as exc:  # what was asked for cannot be done, or not any more
                state = self._end(state, error=str(exc))
                if not state.changed:
                    raise
                return state
            finally:
                self._show(state, done)
                self.house.doors.bell.ring()
            return state if state.left else self._end(state)

    def stop(self, state: DeedState) -> DeedState:
        """Leave the rest as it is."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self.deeds.held(state.id) as is_ours:
                found = self.deeds.find(state.id) or state
                if found.is_over:
                    return found
                if is_ours:
                    return self._end(passed_over(found))
            if time.monotonic() > until:
                return found
            threading.Event().wait(0.1)

    def _piece(self, state: DeedState) -> tuple[DeedState, Sequence[str]]:
        now = self.house.repository.now()
        items = self.deeds.next_piece(state, PIECE, now.timestamp())
        if not items:  # Redis has lost them
            raise RequestInvalid("Redis has lost what was still to be done")

        def note(before: Sequence[Before]) -> None:
            self.deeds.note_before(state.id, [each.to_json() for each in before])

        state = caught_up(state, now)
        state = counted(state, len(items), work(self.house.repository, state, items, note))
        self.deeds.count(state)
        return state, items

    def _show(self, state: DeedState, items: Sequence[str]) -> None:
        """Have the list show it at once, where it can; the bridge corrects it in a moment."""
        kind, until = state.told["kind"], moment_of(state.told.get("until"))
        with suppress(BrokerUnavailable):
            if kind in ("run-now", "cancel"):
                self.view.remove([json.loads(each) for each in items])
            elif kind == "postpone" and until is not None:
                self.view.move([json.loads(each) for each in items], until)

    def _end(self, state: DeedState, error: str | None = None) -> DeedState:
        """Nothing more is done: the audit gets its outcome."""
        self.house.repository.note_outcome(
            state.id, count=state.changed, unsure=state.unsure, error=error
        )
        self.deeds.count(state)
        self.deeds.end(state.id)
        self._ring()
        return self.deeds.find(state.id) or replace(state, is_over=True)

    def _without_redis(self, state: DeedState, items: Sequence[str]) -> DeedState:
        """All at once, and without a way back."""
        repository = self.house.repository
        for start in range(0, len(items), PIECE):
            some = items[start : start + PIECE]
            state = counted(state, len(some), work(repository, state, some, lambda _before: None))
        repository.note_outcome(state.id, count=state.changed)
        self._ring()
        return replace(state, is_over=True)

    def _ring(self) -> None:
        for what in RINGS:
            self.house.doors.bell.ring(what)

    def _told(
        self, request: Request, kind: str, on: str, back: str, **more: Any
    ) -> Mapping[str, Any]:
        return {
            "kind": kind, "on": words.text(on), "back": back, "who": request.state.caller.name,
            "at": self.house.repository.now().timestamp(), **more,
        }  # fmt: skip

    def _note(self, request: Request, what: str, on: str, why: str) -> str:
        who, address = request.state.caller.name, asking_address(request)
        return self.house.repository.note_deed(
            Deed(who=who, what=what, on=words.text(on), why=why, address=address)
        )
