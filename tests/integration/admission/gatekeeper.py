"""Admission for two services on a real MongoDB, with as many threads free as a test says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.admission.admission import Admission
from agent.admission.gate import BREAKER_CALLS, Room
from agent.models import AttemptRecord, Claim, ErrorRecord, WaitReason
from agent.projections.signals import LocalSignals
from agent.services import ANALYSIS, GENERATIVE
from agent.store import changes
from agent.store.changes import Hold
from agent.store.mongo_context_repository import MongoContextRepository
from agent.store.services import Pause
from tests.factories import a_context

SECOND = timedelta(seconds=1)
BROKEN = ErrorRecord(type="ServiceFailed", message="500", status_code=500)


class Gatekeeper:
    """One bridge, and workers that carry out what a test tells them."""

    def __init__(self, repository: MongoContextRepository) -> None:
        self.repository = repository
        self.signals = LocalSignals("agent")
        self.free: dict[str, int | None] = {"GENERATIVE": 50, "ANALYSIS": 50}
        self.admission = Admission(
            repository, [GENERATIVE, ANALYSIS], repository.settings, self.signals, "bridge:1"
        )

    def insert(self, *ids: str, **fields: Any) -> None:
        self.repository.insert_contexts([a_context(_id=each, **fields) for each in ids])

    def admit(self) -> dict[str, list[Any]]:
        """One round: the ids that were claimed, by service."""
        return {
            admitted.service.name: [claim.context_id for claim in admitted.claims]
            for admitted in self.admission.admit(lambda _: self.free)
        }

    def pause(self, by: str = "breaker", seconds: float = -1, **more: Any) -> None:
        """Pause GENERATIVE; a pause of less than no time is over."""
        until = self.repository.now() + seconds * SECOND
        self.repository.pause_service("GENERATIVE", by=by, reason="x", until=until, **more)

    @property
    def paused(self) -> Pause | None:
        state = self.repository.service_states().get("GENERATIVE")
        return None if state is None else state.pause

    @property
    def room(self) -> Room:
        return self.admission.rooms["GENERATIVE"]

    def end(self, context_id: str, outcome: str) -> None:
        """Have a worker carry out a claimed context, with this outcome."""
        document = self.repository.find_context(context_id)
        claim = Claim(context_id, document["fence"], document["lease"]["claim_id"])
        assert self.repository.start(claim, owner="w", token="t", lease=90 * SECOND)
        hold, now = Hold(context_id, claim.fence, "t"), self.repository.now()
        attempt = AttemptRecord(
            number=1, outcome=outcome, fence=claim.fence, token="t", error=BROKEN,
        )  # fmt: skip
        write = (
            changes.complete(now, hold, results={}, attempt=attempt)
            if outcome == "completed"
            else changes.reschedule(now, hold, available_at=now + 60 * SECOND,
                                    reason=WaitReason(outcome), attempt=attempt)
        )  # fmt: skip
        assert self.repository.write_back(write)

    def fail_lately(self, calls: int = BREAKER_CALLS) -> None:
        """So many calls of GENERATIVE failed by its own fault."""
        for number in range(calls):
            self.signals.record(
                "GENERATIVE", outcome="retry", failing=True, forbidden=False,
                context_key=str(number), seconds=0.1, pickup_seconds=None,
            )  # fmt: skip
