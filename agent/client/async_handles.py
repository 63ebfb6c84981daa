"""What `AsyncAgentClient` hands out: the twins of those of `handles`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import anyio

from agent.client.calls import Change, Kind, Show, Wait
from agent.client.errors import Unavailable
from agent.client.events import Event
from agent.client.handles import PROGRESS_SECONDS, Answer, OnProgress, counted, progress_of
from agent.client.tries import Timeout
from agent.client.waiting import LONGEST_WAIT_SECONDS, Waiting, results_of
from agent.client.way import AsyncWay


class _Handle:
    """One thing that was asked for.

    Args:
        id: under which it is found again, from anywhere.
        existing: whether it is an earlier one that had the same `unique_key`.
    """

    kind: Kind

    def __init__(self, way: AsyncWay, id: str, *, existing: bool = False) -> None:
        self._way = way
        self.id = id
        self.existing = existing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    async def show(self) -> Answer:
        """All that is told of it: `status`, `results`, `error`, `steps`, `progress`, times.

        Raises:
            AgentClientError: as for every call.
        """
        return await self._way.do(Show(self.kind, self.id))

    async def status(self) -> str:
        """Its status, as docs/states.md has them; `completed`, `failed` and `cancelled` are final.

        Raises:
            AgentClientError: as for every call.
        """
        return str((await self.show())["status"])

    async def cancel(self) -> Answer:
        """Cancel it, with all that belongs to it; what it is then.

        Raises:
            Conflict: it is final.
            AgentClientError: as for every call.
        """
        return await self._way.do(Change(self.kind, self.id, "cancel"))

    async def retry(self, *, fresh_key: bool | None = None) -> Answer:
        """Begin anew what failed or was cancelled of it; what it is then.

        Args:
            fresh_key: whether the Base service sees a new idempotency key; None decides by the last
                outcome.

        Raises:
            Conflict: it runs, or is completed.
            AgentClientError: as for every call.
        """
        return await self._way.do(Change(self.kind, self.id, "retry", fresh_key))

    def events(self) -> AsyncIterator[Event]:
        """What becomes of it, from its present state to its end. What happens while a connection
        breaks is told by the next one.

        Raises:
            AgentClientError: as for every call.
        """
        return self._way.events(self.kind, self.id)

    async def _final(
        self, timeout: Timeout, wait: float = LONGEST_WAIT_SECONDS, tell: OnProgress | None = None
    ) -> Answer:
        """What it is once it is final.

        Raises:
            ResultTimeout: it was not in time.
        """
        waiting = Waiting(self.id, timeout, wait)
        while True:
            try:
                answer = await self._way.do(
                    Wait(self.kind, self.id, waiting.next()), patience=waiting.left
                )
            except Unavailable as exc:
                if waiting.left == 0:
                    raise waiting.late(str(exc)) from exc
                raise
            if tell is not None:
                tell(answer.get("progress") or {})
            pause = waiting.pause_after(answer)
            if pause is None:
                return answer
            await anyio.sleep(pause)


class AsyncRequestHandle(_Handle):
    """A request: of one step, or of several."""

    kind = "requests"

    async def result(self, timeout: Timeout = None) -> Any:
        """What it brought, as soon as it is final: the service's reply as it came; of several steps
        the reply of each by its key.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.

        Raises:
            RequestFailed: it failed; `error` says why.
            RequestCancelled: it was cancelled.
            ResultTimeout: it is not final yet.
            AgentClientError: as for every call.
        """
        return results_of(await self._final(timeout))


class AsyncBatchHandle(_Handle):
    """A batch.

    Args:
        total: how many items it has; None of one that was only named.
        rejected: `count`, and the first `rows` with `row` and `error`: what became no item.
    """

    kind = "batches"

    def __init__(
        self,
        way: AsyncWay,
        id: str,
        *,
        existing: bool = False,
        total: int | None = None,
        rejected: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(way, id, existing=existing)
        self.total = total
        self.rejected: dict[str, Any] = dict(rejected or {"count": 0, "rows": []})

    async def progress(self) -> dict[str, Any]:
        """How far it is: `total`, `processed`, `succeeded`, `failed`, `cancelled`, `percentage`,
        `rate`, `estimated_end_at`.

        Raises:
            AgentClientError: as for every call.
        """
        return progress_of(await self.show())

    async def result(
        self, timeout: Timeout = None, *, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """Its progress as soon as it is final: items that failed are counted there, and told by
        `results`.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes.
            on_progress: called with the progress about once a second.

        Raises:
            RequestCancelled: it was cancelled as a whole.
            RequestFailed: it never got all of its items.
            ResultTimeout: it is not final yet.
            AgentClientError: as for every call.
        """
        wait = LONGEST_WAIT_SECONDS if on_progress is None else PROGRESS_SECONDS
        return counted(await self._final(timeout, wait, on_progress))

    def results(self) -> AsyncIterator[dict[str, Any]]:
        """Its items in the order of their rows, as they are now: `row`, `status`, `results`,
        `error` and more. They are read as they come, however many there are.

        Raises:
            AgentClientError: as for every call.
        """
        return self._way.items(self.id)


def request_handle(way: AsyncWay, answer: Mapping[str, Any]) -> AsyncRequestHandle:
    """The handle of a request that was stored."""
    return AsyncRequestHandle(way, str(answer["id"]), existing=bool(answer.get("existing")))


def batch_handle(way: AsyncWay, answer: Mapping[str, Any]) -> AsyncBatchHandle:
    """The handle of a batch that was stored."""
    return AsyncBatchHandle(
        way, str(answer["id"]),
        existing=bool(answer.get("existing")), total=cast("int | None", answer.get("total")),
        rejected=answer.get("rejected"),
    )  # fmt: skip
