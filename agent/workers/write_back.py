"""Writing an outcome back, for as long as the context is ours.

While MongoDB is away the finished reply is kept; after a lost answer the document is read before
anything is called stale.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace

from agent import outcomes
from agent.errors import NotStorable, StoreUnavailable
from agent.logs import get_logger
from agent.models import Document, ErrorRecord
from agent.outcomes import Kind, Outcome
from agent.services import OnAmbiguous
from agent.store import changes
from agent.store.changes import Write
from agent.store.group_writer import GroupWriter
from agent.store.marks import left_by
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.runs import Fate
from agent.workers.running import Run
from agent.workers.settle import Ran, write_of

OnWritten = Callable[[Document, Write], None]
"""Gets the context as it was, and what was written."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

log = get_logger()


class WriteBack:
    """The last write of each run.

    Args:
        worker_id: what attempts are recorded under.
        closed: set when there is no more time to wait for MongoDB.
        on_written: told of each write that took place; must not block.
    """

    def __init__(
        self,
        repository: MongoContextRepository,
        writer: GroupWriter,
        worker_id: str,
        closed: threading.Event,
        on_written: OnWritten = lambda _document, _write: None,
    ) -> None:
        self._repository = repository
        self._writer = writer
        self._worker_id = worker_id
        self._closed = closed
        self._on_written = on_written

    def settle(self, run: Run, outcome: Outcome, seconds: float) -> Outcome | None:
        """Write an outcome; the one that was written, or None when it came too late.

        A reply that MongoDB cannot hold is a failure of its context, and of no other.
        """
        ran = self._ran(run, seconds)
        while True:
            write = write_of(outcome, ran, self._repository.now(), random.random)
            try:
                done = self._writer.finish(write, run.hold)
                return self._told(run, write, outcome) if done else None
            except NotStorable as exc:
                if outcome.kind is Kind.FAILED:
                    return self._fail_barely(run, outcome, exc)
                outcome = _not_storable(exc)
            except StoreUnavailable as exc:
                log.warning("reply.kept", error=str(exc), **run.fields)
                fate = self._wait_for_fate(run, write)
                if fate is not Fate.HELD:
                    return self._told(run, write, outcome) if fate is Fate.APPLIED else None

    def _told(self, run: Run, write: Write, outcome: Outcome) -> Outcome:
        """The outcome, once others know what was written."""
        self._on_written(run.document, write)
        return outcome

    def _fail_barely(self, run: Run, outcome: Outcome, exc: NotStorable) -> Outcome | None:
        """Without a record of the attempt: there is no place for one."""
        assert outcome.error is not None
        now = self._repository.now()
        write = changes.fail(now, run.hold, error=outcome.error, attempt=None)
        write = left_by(run.document, write, now)
        write = self._repository.retention.kept(run.document, write, now)
        try:
            done = self._repository.write_back(write)
            return self._told(run, write, outcome) if done else None
        except (NotStorable, StoreUnavailable):
            log.error("context.beyond_help", error=str(exc), **run.fields)
            return None

    def give_up(self, run: Run, policy: OnAmbiguous) -> None:
        """Settle a run whose time is over and whose reply is not there: release what was not sent;
        for the rest its service says what an unknown outcome means. Its thread then writes
        nothing."""
        if not run.document or not run.abandon():
            return
        outcome = outcomes.released()
        if run.sent and not run.claim.polls:
            message = "the worker was shut down amid the call"
            outcome = outcomes.ambiguous(
                ErrorRecord(type="OutcomeUnknown", message=message), policy
            )
        write = write_of(
            outcome, self._ran(run, run.seconds), self._repository.now(), random.random
        )
        try:
            written = self._repository.write_back(write)
        except StoreUnavailable as exc:
            log.warning("context.left_to_its_lease", error=str(exc), **run.fields)
            return
        if written:
            self._told(run, write, outcome)
        log.warning("attempt.cut_off", outcome=str(outcome.kind), written=written, **run.fields)

    def _ran(self, run: Run, seconds: float) -> Ran:
        return Ran(
            run.document, run.hold, self._worker_id, run.claim.polls, seconds, run.trace_id,
            self._repository.retention,
        )  # fmt: skip

    def _wait_for_fate(self, run: Run, write: Write) -> Fate:
        """What became of a write whose answer was lost, once MongoDB answers again."""
        pause = FIRST_PAUSE_SECONDS
        while not self._closed.wait(pause):
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            try:
                return self._repository.fate(run.hold, leaves_attempt=write.leaves_attempt)
            except StoreUnavailable:
                continue
        return Fate.LOST


def _not_storable(exc: NotStorable) -> Outcome:
    """The service did the work; its reply cannot be kept."""
    message = f"the reply cannot be stored: {exc}"
    error = ErrorRecord(type="ResultNotStorable", message=message[:500])
    return replace(outcomes.failed(error), definite=False)
