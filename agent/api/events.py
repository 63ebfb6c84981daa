"""`/v1/requests/{id}/result` and `…/events`, and those of batches: wait for what becomes of them.

Both wait on the event loop, and hold no thread while they do.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from agent.answers import is_parent, state_answer
from agent.api import batches, requests
from agent.api import problem_kinds as kinds
from agent.api.batch_shapes import BatchAnswer
from agent.api.doors import Doors
from agent.api.hub import Listener, key_of
from agent.api.problems import documented
from agent.api.rendering import reply
from agent.api.requests import RequestId
from agent.api.security import Reader
from agent.api.shapes import RequestAnswer, Shape
from agent.models import FINAL, Document
from agent.rendering import rendered

LONGEST_WAIT_SECONDS = 25
"""Routers of platforms cut a request after 30."""
MOST_STEPS = 500
"""Whose changes are told; of a batch only its progress is."""
RECONNECT_MS = 2000


class NothingNew(Exception):
    """There is nothing to be told any more: who was told all of a final request."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What can be waited for.

    Args:
        path: of its routes.
        name: of the event that tells the whole of it.
        shape: of its answer.
        find: its document, by the word of a path.
        answer: what is told of it.
    """

    path: str
    tag: str
    name: str
    shape: type[Shape]
    find: Callable[[Doors, str], Document]
    answer: Callable[[Doors, Document], Document]


REQUESTS = Awaited(
    "/v1/requests", "requests", "request", RequestAnswer, Doors.find, requests.answer_of
)
BATCHES = Awaited("/v1/batches", "batches", "batch", BatchAnswer, batches.find, batches.answer_of)


class Watched:
    """A request or batch as it is listened for: its document, and the keys of its steps."""

    def __init__(self, document: Document, children: list[Document], name: str) -> None:
        self.id = document["_id"]
        self._name = name
        self.keys = {key_of(each["_id"]): str(each.get("step")) for each in children}
        self.ids = [self.id, *(each["_id"] for each in children)]
        self.seen: dict[str, Document] = {}

    def news(self, listener: Listener) -> Iterator[tuple[str, Document]]:
        """What has changed since this was asked last: the steps, and then the whole."""
        states = listener.states
        own = key_of(self.id)
        for key in [each for each in states if each != own] + [own] * (own in states):
            told = state_answer(states[key], key=self.keys.get(key))
            if self.seen.get(key) != told:
                self.seen[key] = told
                yield (self._name if key == own else "step"), told

    @property
    def is_final(self) -> bool:
        return self.seen.get(key_of(self.id), {}).get("status") in FINAL

    @property
    def digest(self) -> str:
        """Of all that was told so far: the id of an event."""
        told = json.dumps(rendered(self.seen), sort_keys=True)
        return sha256(told.encode()).hexdigest()[:16]


def waiting_router(doors: Doors, of: Awaited) -> APIRouter:
    """The routes that wait."""
    router = APIRouter(prefix=of.path, tags=[of.tag])
    hub = doors.hub

    async def answered(id: str) -> Document:
        return await run_in_threadpool(lambda: of.answer(doors, of.find(doors, id)))

    def find(id: str) -> Watched:
        document = of.find(doors, id)
        children: list[Document] = []
        if is_parent(document) and document.get("steps"):
            children = doors.repository.children_of(document["_id"], limit=MOST_STEPS)
        return Watched(document, children, of.name)

    @router.get(
        "/{id}/result",
        response_model=of.shape,
        responses={
            202: {"model": of.shape, "description": "It is not final yet."},
            **documented(kinds.NOT_FOUND),
        },
    )
    async def result(
        _caller: Reader,
        id: RequestId,
        wait: Annotated[
            float,
            Query(
                ge=0,
                le=LONGEST_WAIT_SECONDS,
                allow_inf_nan=False,
                description="Seconds to wait until it is final.",
            ),
        ] = 0,
    ) -> Response:
        """What it brought: 200 once it is final, 202 until then. Scope `read`."""
        answer = await answered(id)
        end = time.monotonic() + wait
        if answer["status"] not in FINAL and wait > 0:
            watched = await run_in_threadpool(find, id)
            async with hub.listening([watched.id]) as listener:
                while not watched.is_final and not hub.closing:
                    left = end - time.monotonic()
                    if left <= 0 or not await listener.wait(left):
                        break
                    list(watched.news(listener))
            answer = await answered(id)
        return reply(answer, 200 if answer["status"] in FINAL else 202)

    async def watched(
        _caller: Reader,
        id: RequestId,
        last_event_id: Annotated[
            str | None, Header(description="Of the last event that was seen.")
        ] = None,
    ) -> Watched:
        """It, unless all of it was told before."""
        found = await run_in_threadpool(find, id)
        if last_event_id is not None:
            there = Listener(found.ids)
            for state in await run_in_threadpool(doors.repository.states_of, found.ids):
                there.tell(state)
            list(found.news(there))
            if found.digest != last_event_id:
                found.seen.clear()
            elif found.is_final:
                raise NothingNew
        return found

    @router.get(
        "/{id}/events",
        response_class=EventSourceResponse,
        responses={
            204: {"description": "It is final, and all of it was told before `Last-Event-ID`."},
            **documented(kinds.NOT_FOUND),
        },
    )
    async def events(
        found: Watched = Depends(watched),  # noqa: B008 - an annotation cannot name what is local
    ) -> AsyncIterator[ServerSentEvent]:
        """Its states and those of its steps, as they change: server-sent events `request` (or
        `batch`) and `step`, until it is final. Of a batch its progress is told, not its items. Each
        event tells the whole present state of one of them, so one
        that was missed is made up for by the next. Scope `read`.

        Whoever comes again with `Last-Event-ID` is told only if anything has changed since."""
        async with hub.listening(found.ids) as listener:
            yield ServerSentEvent(retry=RECONNECT_MS, comment="listening")
            while not hub.closing:
                await listener.wait()
                for name, told in found.news(listener):
                    yield ServerSentEvent(data=rendered(told), event=name, id=found.digest)
                if found.is_final:
                    return

    return router


def tell_nothing_new(app: FastAPI) -> None:
    """Have a stream that has nothing to tell end for good: a browser then asks no more."""

    async def nothing(_request: Request, _exc: Exception) -> Response:
        return Response(status_code=204)

    app.add_exception_handler(NothingNew, nothing)
