"""All that is seen of a line's work: taken down while it goes on, and held against the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.models import context_key
from tests.checker import Broker, History, Plan, Recorder, read_broker, violations
from tests.checker.plan import Types
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.line import Line

RECORD_SECONDS = 3.0
DRAIN_SECONDS = 30.0
"""For what a dead process had fetched to be taken back, and dropped by those that live."""


class Witness:
    """What happened in one line.

    Args:
        line: not started yet, so that nothing is missed.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self.recorder = Recorder(line.mongodb_uri, line.database.name)
        self.dead_letters: set[str] = set()
        """Messages that a test has had put aside, by their ids in Redis."""

    def history(self, ids: Sequence[Any], *, drained: bool = True) -> History:
        """What happened to these.

        Args:
            drained: whether to look into Redis, too.
        """
        line = self._line
        return History(
            ids,
            line.documents(ids),
            line.sandbox.calls(),
            self.recorder.record(),
            [each for process in line.processes.running for each in process.lines()],
            self._broker() if drained else None,
        )

    def assert_sound(
        self, ids: Sequence[Any], planned: Mapping[Any, Types] | Plan, *, drained: bool
    ) -> None:
        """Nothing that must not be; waits for what comes a moment late.

        Raises:
            AssertionError: with all that is wrong.
        """
        plan = planned if isinstance(planned, Plan) else Plan(failed=planned)
        plan = replace(plan, dead_letters={*plan.dead_letters, *self.dead_letters})
        found: list[str] = []

        def is_sound() -> bool:
            found[:] = violations(self.history(ids, drained=drained), plan)
            return not found

        try:  # a call is taken down a moment after its reply was sent, a change after its write
            wait_until(is_sound, DRAIN_SECONDS if drained else RECORD_SECONDS, 0.2)
        except AssertionError:
            problems = "\n".join(found)
            raise AssertionError(f"{problems}\nthe logs are in {self._line.folder}") from None

    def _broker(self) -> Broker:
        settings, contexts = self._line.settings, self._line.database["contexts"]
        return read_broker(
            self._line.client,
            settings.namespace,
            settings.dramatiq_namespace,
            lambda: {context_key(each["_id"]) for each in contexts.find({}, {"_id": 1})},
        )
