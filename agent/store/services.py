"""Pauses of services: who, why, until when; kept in the collection `services`.

A pause ends in a probe: once its time has come, one context is let through, and what becomes of it
decides. An operator's pause ends by hand, or in the same way if it has an end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.errors import AlreadyStored
from agent.models import Claim, Document
from agent.store.base import Store
from agent.store.connection import translated

OPERATOR = "operator"
TRIES = 5


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a service gets no calls.

    Args:
        by: `operator`, or what saw the trouble: `retry-after`, `unauthorized`, `forbidden`,
            `breaker`.
        until: None for as long as nobody resumes it.
        context_id: whose reply it was; the probe is to be another one.
        probe: the context that was let through to see, and at which fence.
        probed_at: when that was.
        trips: how many breakers in a row, this one included.
    """

    service_type: str
    by: str
    reason: str
    since: datetime
    until: datetime | None = None
    context_id: Any = None
    probe: Claim | None = None
    trips: int = 0
    probed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What is stored about a service: its pause, and when the last one ended."""

    pause: Pause | None = None
    cleared_at: datetime | None = None


class Services(Store):
    """The state of each service that all processes share."""

    def service_states(self) -> dict[str, ServiceState]:
        """The state of every service that was ever paused."""
        with translated():
            return {
                document["_id"]: _state(document) for document in self.database["services"].find()
            }

    def pause_service(
        self,
        service_type: str,
        *,
        by: str,
        reason: str,
        until: datetime | None,
        context_id: Any = None,
        trips: int = 0,
    ) -> bool:
        """Pause a service; whether that changed anything.

        A pause by an operator stands until it ends, and a later end beats an earlier one.
        """
        services = self.database["services"]
        with translated():
            for _ in range(TRIES):
                now = self.now()
                found = services.find_one({"_id": service_type})
                before = _state(found).pause if found is not None else None
                if by != OPERATOR and before is not None and _outlasts(before, until, now):
                    return False
                pause = {
                    "by": by, "reason": reason[:500], "since": now, "until": until,
                    "context_id": context_id, "trips": trips,
                }  # fmt: skip
                if self._replace(service_type, found, {"$set": {"pause": pause}}):
                    return True
        return False

    def resume_service(self, service_type: str) -> bool:
        """End a pause at once, whoever made it; whether there was one."""
        now = self.now()
        with translated():
            result = self.database["services"].update_one(
                {"_id": service_type, "pause": {"$exists": True}},
                {"$set": {"cleared_at": now}, "$unset": {"pause": ""}},
            )
        return result.matched_count == 1

    def end_pause(self, pause: Pause) -> bool:
        """End this very pause, as its probe went well."""
        with translated():
            result = self.database["services"].update_one(
                _same(pause), {"$set": {"cleared_at": self.now()}, "$unset": {"pause": ""}}
            )
        return result.matched_count == 1

    def note_probe(self, pause: Pause, claim: Claim | None) -> bool:
        """Note which context was let through, or that the last one told nothing."""
        probe = None if claim is None else claim._asdict()
        with translated():
            result = self.database["services"].update_one(
                _same(pause), {"$set": {"pause.probe": probe, "pause.probed_at": self.now()}}
            )
        return result.matched_count == 1

    def probe_fate(self, claim: Claim) -> Document | None:
        """Where the probe is now, and how its last attempt ended; None when it is gone."""
        return self._find_one(
            {"_id": claim.context_id},
            {"status": 1, "fence": 1, "wait_reason": 1, "attempts": {"$slice": -1}},
        )

    def _replace(self, service_type: str, found: Document | None, update: Document) -> bool:
        """Write the state, unless somebody did since it was read."""
        services = self.database["services"]
        if found is None:
            try:
                with translated():
                    services.insert_one({"_id": service_type, **update["$set"]})
            except AlreadyStored:
                return False
            return True
        before = found.get("pause")
        same = {"$exists": False} if before is None else before["since"]
        name = "pause" if before is None else "pause.since"
        return services.update_one({"_id": service_type, name: same}, update).matched_count == 1


def active_pauses(states: Iterable[ServiceState]) -> list[Pause]:
    """The pauses among these."""
    return [state.pause for state in states if state.pause is not None]


def _same(pause: Pause) -> Document:
    return {"_id": pause.service_type, "pause.since": pause.since, "pause.by": pause.by}


def _outlasts(pause: Pause, until: datetime | None, now: datetime) -> bool:
    if pause.until is None:
        return True
    if pause.until <= now:
        return False
    return pause.by == OPERATOR or (until is not None and until <= pause.until)


def _state(document: Document) -> ServiceState:
    found = document.get("pause")
    if not isinstance(found, dict):
        return ServiceState(None, document.get("cleared_at"))
    probe = found.get("probe")
    return ServiceState(
        Pause(
            service_type=document["_id"],
            by=found["by"],
            reason=found["reason"],
            since=found["since"],
            until=found.get("until"),
            context_id=found.get("context_id"),
            probe=Claim(**probe) if probe else None,
            trips=found.get("trips", 0),
            probed_at=found.get("probed_at"),
        ),
        document.get("cleared_at"),
    )
