"""What has changed of something since it was looked at last: the events of the way straight to
MongoDB. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from agent.answers import state_answer
from agent.client.events import FINAL, Event
from agent.models import Document
from agent.rendering import rendered


class Watching:
    """One who looks at something, and at its steps, every so often.

    Args:
        name: of the events about the whole.
        children: its steps.
    """

    def __init__(self, name: str, document: Document, children: Iterable[Document]) -> None:
        self._name = name
        self._whole = document["_id"]
        self._keys = {str(each["_id"]): str(each.get("step")) for each in children}
        self.ids: list[Any] = [self._whole, *self._keys]
        self._told: dict[str, Event] = {}
        self.is_over = False

    def news(self, states: Iterable[Document]) -> Iterator[Event]:
        """What has changed: the steps, and then the whole."""
        for state in sorted(states, key=lambda each: bool(each["_id"] == self._whole)):
            is_whole = bool(state["_id"] == self._whole)
            key = None if is_whole else self._keys.get(str(state["_id"]))
            event = Event(
                self._name if is_whole else "step", rendered(state_answer(state, key=key))
            )
            about = str(event.data["id"])
            if self._told.get(about) != event:
                self._told[about] = event
                yield event
            self.is_over = self.is_over or (is_whole and event.status in FINAL)
