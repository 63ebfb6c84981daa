"""Work that was accepted: answered at once, final later, asked for at its status endpoint.

The work itself is done when it is accepted, and shown when its time has come; what is remembered
ends with the process, as the newest 100,000.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from time import monotonic
from uuid import uuid4

from agent.sandbox.faults import Fault
from agent.sandbox.incoming import Call
from agent.sandbox.replies import Refused, Reply, json_reply

STATUS_PATH = "/api/v1/contexts/"
REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class _Work:
    pending: Reply
    final: Reply
    due: float  # on the monotonic clock


class AcceptedWork:
    """What was accepted, by its id."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._works: OrderedDict[str, _Work] = OrderedDict()

    def accept(self, call: Call, final: Reply, fault: Fault) -> Reply:
        """The reply to a call whose final reply comes later; a repeated key finds the same work."""
        key = call.idempotency_key
        work_id = uuid4().hex if key is None else sha256(key.encode("latin-1")).hexdigest()[:32]
        if work_id in self._works:
            return self.status(work_id)
        pending = _pending(work_id, fault)
        due = self._clock() + (fault.accepted_seconds or 0)
        self._works[work_id] = _Work(pending, replace(final, delivered=False), due)
        if len(self._works) > REMEMBERED:
            self._works.popitem(last=False)
        return replace(pending, delivered=final.delivered)

    def status(self, work_id: str) -> Reply:
        """The final reply once it is due, and until then that it is accepted.

        Raises:
            Refused: 404 for an id that is not known.
        """
        work = self._works.get(work_id)
        if work is None:
            raise Refused(404, "no accepted work of this id")
        return work.final if self._clock() >= work.due else work.pending


def _pending(work_id: str, fault: Fault) -> Reply:
    payload = {"status": "accepted", "id": work_id}
    if fault.accepted_style == "body":
        return json_reply(payload, fault.status or 200)
    location = (b"location", f"{STATUS_PATH}{work_id}".encode("ascii"))
    return json_reply(payload, fault.status or 202, headers=(location,))
