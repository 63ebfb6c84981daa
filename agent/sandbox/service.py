"""One Base service: what it answers to a work call and to a status poll, faults included."""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.sandbox.accepted import AcceptedWork
from agent.sandbox.faults import NO_FAULT, Fault, Turns
from agent.sandbox.incoming import Call, Headers, fault_of, read_call, recipient_of
from agent.sandbox.record import CallLog
from agent.sandbox.replies import Refused, Reply
from agent.sandbox.spoiling import error_reply, spoiled, unsuccessful

Job = Callable[[Call], Reply]

HANG_UP = Reply(0, b"", hang_up=True)


def _hits(fault: Fault, turns: Turns, call: Call, key: str) -> bool:
    """Whether the fault hits this call; one for another recipient is no turn of it."""
    return fault.recipient in (None, recipient_of(call)) and turns.hits(fault, key)


class BaseService:
    """A service type, its jobs by path, and the faults that are set for all of its calls."""

    def __init__(
        self, service_type: str, jobs: Mapping[str, Job], calls: CallLog, api_key: str | None
    ) -> None:
        self.service_type = service_type
        self.jobs = jobs
        self.calls = calls
        self._authorization = f"Bearer {api_key}".encode() if api_key else None
        self._accepted = AcceptedWork()
        self._turns = Turns()
        self.fault = NO_FAULT
        self._fault_turns = Turns()

    def set_fault(self, fault: Fault) -> None:
        """Let the fault hit every call from now on; `NO_FAULT` ends that."""
        self.fault = fault
        self._fault_turns = Turns()

    def authorize(self, headers: Headers) -> None:
        """Check the bearer key.

        Raises:
            Refused: 401, when one is required and this is not it.
        """
        required = self._authorization
        if required is not None and not hmac.compare_digest(headers.authorization, required):
            challenge = (b"www-authenticate", b'Bearer realm="sandbox"')
            raise Refused(401, "a valid bearer key is required", challenge)

    async def answer(self, path: str, body: Any, headers: Headers) -> Reply:
        """The reply to a work call.

        Raises:
            Refused: the call cannot be understood.
        """
        call = read_call(body, headers)
        fault = self._fault_for(fault_of(call), call)
        if fault.latency_seconds:
            await asyncio.sleep(fault.latency_seconds)
        job = self.jobs[path]
        failing = HANG_UP if fault.close else error_reply(fault, path)
        if failing is not None:
            delivered = fault.work_done and job(call).delivered
            return await spoiled(replace(failing, delivered=delivered), fault)
        reply = self._outcome(call, job, fault)
        if fault.accepted_seconds is not None:
            reply = self._accepted.accept(call, reply, fault)
        elif fault.status is not None:
            reply = replace(reply, status=fault.status)
        return await spoiled(reply, fault)

    async def status(self, path: str, work_id: str) -> Reply:
        """The reply to a status poll; it is hit by the service-wide fault alone.

        Raises:
            Refused: 404 for an id that is not known.
        """
        is_for_all = self.fault.recipient is None  # a poll does not say whom the work is for
        hits = is_for_all and self._fault_turns.hits(self.fault, path)
        fault = self.fault if hits else NO_FAULT
        if fault.latency_seconds:
            await asyncio.sleep(fault.latency_seconds)
        failing = HANG_UP if fault.close else error_reply(fault, path)
        reply = self._accepted.status(work_id) if failing is None else failing
        return await spoiled(reply, fault)

    def _fault_for(self, asked: Fault, call: Call) -> Fault:
        """The service-wide fault while it hits, else the call's own."""
        key = call.idempotency_key or str(call.request_id)
        if self.fault != NO_FAULT and _hits(self.fault, self._fault_turns, call, key):
            return self.fault
        return asked if _hits(asked, self._turns, call, key) else NO_FAULT

    def _outcome(self, call: Call, job: Job, fault: Fault) -> Reply:
        """What becomes of the work itself."""
        if not fault.success_false:
            return job(call)
        delivered = fault.work_done and job(call).delivered
        return replace(unsuccessful(fault, call.request_id), delivered=delivered)
