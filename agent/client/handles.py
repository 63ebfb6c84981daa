"""What the client hands out for something that was asked for: a request, or a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from agent.client.calls import Change, Kind, Show, Wait
from agent.client.errors import Unavailable
from agent.client.events import Event
from agent.client.tries import Timeout
from agent.client.waiting import LONGEST_WAIT_SECONDS, Waiting, check_ended_well, results_of
from agent.client.way import Way

PROGRESS_SECONDS = 1.0
"""Between two words on the progress of a batch."""

Answer = dict[str, Any]
"""What has become of something, as docs/api.md has it."""
OnProgress = Callable[[Mapping[str, Any]], object]


class _Handle:
    """One thing that was asked for.

    Args:
        id: under which it is found again, from anywhere.
        existing: whether it is an earlier one that had the same `unique_key`.
    """

    kind: Kind

    def __init__(self, way: Way, id: str, *, existing: bool = False) -> None:
        self._way = way
        self.id = id
        self.existing = existing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def show(self) -> Answer:
        """All that is told of it: `status`, `results`, `error`, `steps`, `progress`, times.

        Raises:
            AgentClientError: as for every call.
        """
        return self._way.do(Show(self.kind, self.id))

    def status(self) -> str:
        """Its status, as docs/states.md has them; `completed`, `failed` and `cancelled` are final.

        Raises:
            AgentClientError: as for every call.
        """
        return str(self.show()["status"])

    def cancel(self) -> Answer:
        """Cancel it, with all that belongs to it; what it is then.

        Raises:
            Conflict: it is final.
            AgentClientError: as for every call.
        """
        return self._way.do(Change(self.kind, self.id, "cancel"))

    def retry(self, *, fresh_key: bool | None = None) -> Answer:
        """Begin anew what failed or was cancelled of it; what it is then.

        Args:
            fresh_key: whether the Base service sees a new idempotency key; None decides by the last
                outcome.

        Raises:
            Conflict: it runs, or is completed.
            AgentClientError: as for every call.
        """
        return self._way.do(Change(self.kind, self.id, "retry", fresh_key))

    def events(self) -> Iterator[Event]:
        """What becomes of it, from its present state to its end. What happens while a connection
        breaks is told by the next one.

        Raises:
            AgentClientError: as for every call.
        """
        return self._way.events(self.kind, self.id)

    def _final(
        self, timeout: Timeout, wait: float = LONGEST_WAIT_SECONDS, tell: OnProgress | None = None
    ) -> Answer:
        """What it is once it is final.

        Raises:
            ResultTimeout: it was not in time.
        """
        waiting = Waiting(self.id, timeout, wait)
        while True:
            try:
                answer = self._way.do(
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
            time.sleep(pause)


class RequestHandle(_Handle):
    """A request: of one step, or of several."""

    kind = "requests"

    def result(self, timeout: Timeout = None) -> Any:
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
        return results_of(self._final(timeout))


class BatchHandle(_Handle):
    """A batch.

    Args:
        total: how many items it has; None of one that was only named.
        rejected: `count`, and the first `rows` with `row` and `error`: what became no item.
    """

    kind = "batches"

    def __init__(
        self,
        way: Way,
        id: str,
        *,
        existing: bool = False,
        total: int | None = None,
        rejected: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(way, id, existing=existing)
        self.total = total
        self.rejected: dict[str, Any] = dict(rejected or {"count": 0, "rows": []})

    def progress(self) -> dict[str, Any]:
        """How far it is: `total`, `processed`, `succeeded`, `failed`, `cancelled`, `percentage`,
        `rate`, `estimated_end_at`.

        Raises:
            AgentClientError: as for every call.
        """
        return progress_of(self.show())

    def result(
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
        return counted(self._final(timeout, wait, on_progress))

    def results(self) -> Iterator[dict[str, Any]]:
        """Its items in the order of their rows, as they are now: `row`, `status`, `results`,
        `error` and more. They are read as they come, however many there are.

        Raises:
            AgentClientError: as for every call.
        """
        return self._way.items(self.id)


def progress_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The progress that an answer tells."""
    return dict(answer.get("progress") or {})


def counted(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The progress of a batch that is final.

    Raises:
        RequestCancelled: it was cancelled as a whole.
        RequestFailed: it failed, and not because of its items.
    """
    progress = progress_of(answer)
    if answer.get("status") != "failed" or progress.get("processed") != progress.get("total"):
        check_ended_well(answer)
    return progress


def request_handle(way: Way, answer: Mapping[str, Any]) -> RequestHandle:
    """The handle of a request that was stored."""
    return RequestHandle(way, str(answer["id"]), existing=bool(answer.get("existing")))


def batch_handle(way: Way, answer: Mapping[str, Any]) -> BatchHandle:
    """The handle of a batch that was stored."""
    return BatchHandle(
        way, str(answer["id"]),
        existing=bool(answer.get("existing")), total=cast("int | None", answer.get("total")),
        rejected=answer.get("rejected"),
    )  # fmt: skip
