"""What goes wrong with the work itself: services in trouble, messages and documents of others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx

from agent.models import Claim
from agent.services import ServiceType
from bridge.enqueue import enqueue
from tests.faults.line import Line
from tests.nemesis.asks import SERVICES
from tests.nemesis.ground import Ground
from tests.nemesis.injection import Injection
from tests.nemesis.work import Work

UNKNOWN_WORK = "/api/v1/contexts/nemesis"
"""To ask for it costs nothing, and the record has it as a poll."""


class ServiceTrouble(Injection):
    """A service is down, busy or slow for all of its calls.

    Args:
        fault: what the sandbox is to do.
    """

    def __init__(self, line: Line, service: ServiceType, fault: Mapping[str, Any]) -> None:
        self._line, self._service, self._fault = line, service, fault

    def begin(self) -> None:
        self._line.sandbox.fault(self._service, **self._fault)

    def has_struck(self) -> bool:
        began = time.monotonic()
        url = self._line.sandbox.environment[f"{self._service.env}_BASE_URL"] + UNKNOWN_WORK
        try:
            status = httpx.get(url, timeout=10).status_code
        except httpx.RemoteProtocolError:
            return bool(self._fault.get("down"))
        if "retry_after" in self._fault:
            return status == 429
        late: float = self._fault.get("latency_seconds", float("inf"))
        return time.monotonic() - began >= late

    def end(self) -> None:
        self._line.sandbox.heal(self._service)


class MessagesDoubled(Injection):
    """Messages are in the broker several times more.

    Args:
        times: how often each is put there again.
    """

    def __init__(self, ground: Ground, times: int) -> None:
        self._ground, self._times = ground, times

    def begin(self) -> None:
        """The first moment at which there are some."""

    def has_struck(self) -> bool:
        if not self._ground.reachable:
            return False
        line = self._ground.line
        claimed = {"status": {"$in": ["queued", "processing"]}, "remote": None}
        found = list(line.database["contexts"].find(claimed).limit(5))
        for document in found:
            claim = Claim(document["_id"], document["fence"], document["lease"]["claim_id"])
            self._enqueue(SERVICES[document["service_type"]], claim)
        return bool(found)

    def end(self) -> None:
        """The fences have to see to it."""

    def _enqueue(self, service: ServiceType, claim: Claim) -> None:
        line, settings = self._ground.line, self._ground.line.settings
        enqueue(
            line.client,
            settings.dramatiq_namespace,
            settings.namespace,
            service.queue,
            [claim] * self._times,
        )


class DocumentsDeleted(Injection):
    """Another program deletes contexts, whatever becomes of them just then."""

    def __init__(self, ground: Ground, work: Work) -> None:
        self._ground, self._work = ground, work

    def begin(self) -> None:
        """The first moment at which there are some."""

    def has_struck(self) -> bool:
        if not self._ground.reachable:
            return False
        contexts = self._ground.line.database["contexts"]
        unfinished = {"status": {"$in": ["queued", "processing", "scheduled"]}}
        for document in contexts.find(unfinished, {"_id": 1}).limit(2):
            if contexts.delete_one({"_id": document["_id"]}).deleted_count:
                self._work.deleted.append(document["_id"])
        return bool(self._work.deleted)

    def end(self) -> None:
        """They stay away."""
