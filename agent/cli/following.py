"""Contexts as they change: by the change stream of the contexts, and by looking every so often.

The stream only tells which have changed; their states are read as those are who listen to the API,
and each is told in the same form.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Self

from agent.answers import is_parent, state_answer
from agent.api.events import MOST_STEPS
from agent.api.hub import (
    GATHER_SECONDS,
    LOOK_SECONDS,
    PAUSE_SECONDS,
    POLL_SECONDS,
    NewsSource,
    key_of,
)
from agent.errors import ContextNotFound, StoreUnavailable
from agent.models import FINAL, Document, Status
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.selection import Selection

NEWEST = 200
"""Of all contexts, how many are looked at for what the stream has not told."""
REMEMBERED = 10_000
"""Of all contexts, of how many is known what was told last."""
LONGEST_END_SECONDS = 2.0


class Told(NamedTuple):
    """A change of a context.

    Args:
        state: what is known of it now.
        answer: the same as the events of the API have it.
    """

    state: Document
    answer: Document


class Changes:
    """Which contexts have changed, gathered until somebody asks.

    Args:
        ids: of these alone; None for all that there are.
    """

    def __init__(self, source: NewsSource, ids: Sequence[Any] | None = None) -> None:
        self._source = source
        self._wanted = None if ids is None else {key_of(each) for each in ids}
        self._changed: dict[str, Any] = {}
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._every = LOOK_SECONDS
        self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(LONGEST_END_SECONDS)

    def wait(self) -> list[Any]:
        """The ids of those that have changed; none when it is time to look at everything."""
        began = time.monotonic()
        with self._news:
            while not self._changed and (left := began + self._every - time.monotonic()) > 0:
                self._news.wait(left)
        self._ended.wait(GATHER_SECONDS)
        with self._news:
            changed, self._changed = self._changed, {}
        return list(changed.values())

    def _watch(self) -> None:
        while not self._ended.is_set():
            if not self._source.watch_changes(self._on_change, self._ended.is_set):
                with self._news:
                    self._every = POLL_SECONDS
                    self._news.notify()
                return
            self._ended.wait(PAUSE_SECONDS)

    def _on_change(self, context_id: Any) -> None:
        key = key_of(context_id)
        if self._wanted is None or key in self._wanted:
            with self._news:
                self._changed[key] = context_id
                self._news.notify()


class Following:
    """Tells of changes for as long as there may be any, and outlives an outage of MongoDB.

    Args:
        source: of changes and states; the repository if there is no other one.
        on_outage: told once of each.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        source: NewsSource | None = None,
        *,
        on_outage: Callable[[StoreUnavailable], None] = lambda _: None,
    ) -> None:
        self._repository = repository
        self._source: NewsSource = source or repository
        self._on_outage = on_outage
        self._away = False
        self._seen: OrderedDict[str, Document] = OrderedDict()

    def one(self, context_id: Any) -> Iterator[Told]:
        """A context with its steps: what they are, and then every change until it is final.

        Raises:
            ContextNotFound: there is none, or it is deleted meanwhile.
            StoreUnavailable: MongoDB does not answer at the beginning.
        """
        document = self._repository.find_context(context_id)
        steps: list[Document] = []
        if is_parent(document) and document.get("steps"):
            steps = self._repository.children_of(context_id, limit=MOST_STEPS)
        keys = {_key(each): str(each.get("step")) for each in steps}
        ids = [*(each["_id"] for each in steps), context_id]
        with Changes(self._source, ids) as changes:
            yield from self._told(ids, keys, whole=context_id)
            while not self._is_final(context_id):
                yield from self._told(changes.wait() or ids, keys, whole=context_id)
        yield from self._told(ids, keys)  # a step that ended with it

    def all(
        self, *, service_type: str | None = None, status: Status | None = None
    ) -> Iterator[Told]:
        """Every change of every context from now on.

        Raises:
            StoreUnavailable: MongoDB does not answer at the beginning.
        """
        selection = Selection(service_type=service_type)
        for state in self._source.states_of(self._worth_a_look(selection)):
            self._is_news(state)  # what they are already is no change
        with Changes(self._source) as changes:
            while True:
                ids = changes.wait() or self._patiently(lambda: self._worth_a_look(selection))
                for told in self._told(ids):
                    is_wanted = service_type in (None, told.state.get("service_type"))
                    if is_wanted and status in (None, told.state.get("status")):
                        yield told

    def _told(
        self, ids: Sequence[Any], keys: Mapping[str, str] | None = None, *, whole: Any = None
    ) -> Iterator[Told]:
        """What is news of these, in their order.

        Raises:
            ContextNotFound: the `whole` is not among what is there.
        """
        found = self._patiently(lambda: self._source.states_of(ids))
        there = {_key(state): state for state in found}
        for key in map(key_of, ids):
            state = there.get(key)
            if state is not None and self._is_news(state):
                yield Told(state, state_answer(state, key=(keys or {}).get(key)))
            elif state is None and key == key_of(whole) and not self._away:
                raise ContextNotFound(f"{whole!r} is not there any more")

    def _is_news(self, state: Document) -> bool:
        """Whether it was not like that before; from now on it is."""
        key = _key(state)
        was = self._seen.pop(key, None)
        self._seen[key] = state
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return was != state

    def _is_final(self, context_id: Any) -> bool:
        return self._seen.get(key_of(context_id), {}).get("status") in FINAL

    def _worth_a_look(self, selection: Selection) -> list[Any]:
        """The ids of the newest contexts, and of those that changed last and are not final."""
        newest = self._repository.page_of_contexts(selection, limit=NEWEST)
        unfinished = (
            each for each in reversed(self._seen.values()) if each.get("status") not in FINAL
        )
        found = [*newest, *islice(unfinished, NEWEST)]
        return list({_key(each): each["_id"] for each in found}.values())

    def _patiently(self, ask: Callable[[], list[Any]]) -> list[Any]:
        """The answer; nothing while MongoDB is away, which the next look makes up for."""
        try:
            found = ask()
        except StoreUnavailable as exc:
            if not self._away:
                self._on_outage(exc)
            self._away = True
            return []
        self._away = False
        return found


def _key(document: Document) -> str:
    return key_of(document["_id"])
