"""What a context is: its document, its statuses, and the table of the changes between them.

The document is a contract with other programs (docs/states.md); the table lives here once, as data,
and the store builds the filter of every write from it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Document = dict[str, Any]
"""A context as MongoDB stores it. Foreign fields are kept, so code reads it as a mapping."""


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""Stands for a field that a document does not have."""

SCHEMA = 1
DEFAULT_PRIORITY = 5
HIGHEST_PRIORITY, LOWEST_PRIORITY = 1, 10
DEFAULT_MAX_ATTEMPTS = 20
MAX_CRASHES = 10
"""Starts in a row that never finished, after which rescue gives up all the same."""
QUARANTINE_AFTER = 2
"""From this many crashes on, a context runs in a child process of its own."""
KEPT_ATTEMPTS = 20


class Status(StrEnum):
    """Where a context is in its life."""

    WAITING = "waiting"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
OPEN = tuple(status for status in Status if status not in FINAL)
"""Not final; in the order in which a context goes through them."""
IN_FLIGHT = frozenset({Status.QUEUED, Status.PROCESSING})

PARENT = "parent"
"""The `kind` of a parent; it is never claimed."""
REQUEST = "REQUEST"
"""The `service_type` of the parent of a request's steps, which no service has."""
BATCH = "BATCH"
"""Likewise of the parent of a batch's items."""


class WaitReason(StrEnum):
    """Why a scheduled context waits."""

    DELAY = "delay"
    RETRY = "retry"
    SNOOZE = "snooze"
    POLL = "poll"
    CRASH = "crash"


class Change(StrEnum):
    """What moves a context from one status to another, named by who does it."""

    CLAIM = "claim"
    START = "start"
    COMPLETE = "complete"
    RESCHEDULE = "reschedule"
    FAIL = "fail"
    RELEASE = "release"
    RESCUE_QUEUED = "rescue_queued"
    RESCUE_PROCESSING = "rescue_processing"
    RESCUE_FAIL = "rescue_fail"
    PROMOTE = "promote"
    POSTPONE = "postpone"
    TAKE_BACK = "take_back"
    ADOPT_FAIL = "adopt_fail"
    EXPIRE = "expire"
    CANCEL = "cancel"
    RETRY = "retry"
    RETRY_LATER = "retry_later"
    RETRY_BLOCKED = "retry_blocked"
    UNBLOCK = "unblock"
    BLOCK_AGAIN = "block_again"


class Transition(NamedTuple):
    """From which statuses a change may start, and where it leads."""

    sources: frozenset[Status]
    target: Status


def _from(*sources: Status) -> frozenset[Status]:
    return frozenset(sources)


TRANSITIONS: Mapping[Change, Transition] = {
    Change.CLAIM: Transition(_from(Status.PENDING), Status.QUEUED),
    Change.START: Transition(_from(Status.QUEUED), Status.PROCESSING),
    Change.COMPLETE: Transition(_from(Status.PROCESSING), Status.COMPLETED),
    Change.RESCHEDULE: Transition(_from(Status.PROCESSING), Status.SCHEDULED),
    Change.FAIL: Transition(_from(Status.PROCESSING), Status.FAILED),
    Change.RELEASE: Transition(IN_FLIGHT, Status.PENDING),
    Change.RESCUE_QUEUED: Transition(_from(Status.QUEUED), Status.PENDING),
    Change.RESCUE_PROCESSING: Transition(_from(Status.PROCESSING), Status.SCHEDULED),
    Change.RESCUE_FAIL: Transition(_from(Status.PROCESSING), Status.FAILED),
    Change.PROMOTE: Transition(_from(Status.SCHEDULED), Status.PENDING),
    Change.POSTPONE: Transition(_from(Status.SCHEDULED), Status.SCHEDULED),
    Change.TAKE_BACK: Transition(_from(Status.PENDING), Status.SCHEDULED),
    Change.ADOPT_FAIL: Transition(_from(Status.PENDING), Status.FAILED),
    Change.EXPIRE: Transition(
        _from(Status.PENDING, Status.SCHEDULED, Status.WAITING), Status.FAILED
    ),
    Change.CANCEL: Transition(frozenset(Status) - FINAL, Status.CANCELLED),
    Change.RETRY: Transition(_from(Status.FAILED, Status.CANCELLED), Status.PENDING),
    Change.RETRY_LATER: Transition(_from(Status.FAILED, Status.CANCELLED), Status.SCHEDULED),
    Change.RETRY_BLOCKED: Transition(_from(Status.FAILED, Status.CANCELLED), Status.WAITING),
    Change.UNBLOCK: Transition(_from(Status.WAITING), Status.PENDING),
    Change.BLOCK_AGAIN: Transition(_from(Status.CANCELLED), Status.WAITING),
}


class ParentChange(StrEnum):
    """What moves a parent, which is a request of several steps or a batch."""

    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    REOPEN = "reopen"


PARENT_TRANSITIONS: Mapping[ParentChange, Transition] = {
    ParentChange.COMPLETE: Transition(_from(Status.PROCESSING), Status.COMPLETED),
    ParentChange.FAIL: Transition(_from(Status.PROCESSING), Status.FAILED),
    ParentChange.CANCEL: Transition(_from(Status.PROCESSING), Status.CANCELLED),
    ParentChange.REOPEN: Transition(FINAL | {Status.PROCESSING}, Status.PROCESSING),
}
"""A parent is `processing` from the beginning. That it is opened again while it is open raises its
fence, so that nobody writes what was counted before."""

ENTRY_STATUSES = frozenset({Status.PENDING, Status.SCHEDULED, Status.WAITING})
"""A new context starts in one of these."""


def is_legal(source: Status, target: Status) -> bool:
    """Whether any change of the table leads from `source` to `target`."""
    return any(source in t.sources and t.target == target for t in TRANSITIONS.values())


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(prefix: str) -> str:
    """A ULID behind a prefix (`ctx_01J…`): unique anywhere, and sorted by the time it was made."""
    value = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    digits = (_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{''.join(digits)}"


def step_id(parent_id: str, key: str) -> str:
    """The id of a step: given by its parent's, so that it is never stored twice."""
    return f"{parent_id}_{key}"


def clamp_priority(value: object) -> int:
    """The priority as stored: what is missing or out of range means the default."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return DEFAULT_PRIORITY
    if not HIGHEST_PRIORITY <= value <= LOWEST_PRIORITY:
        return DEFAULT_PRIORITY
    return int(value)


class Model(BaseModel):
    """What the models share: unknown fields of other programs are kept."""

    model_config = ConfigDict(extra="allow")


class Template(Model):
    """What is to be done: the service, and the body that its Base service gets."""

    id: str
    version: str = "1.0"
    service_type: str
    service_template: dict[str, Any] = Field(default_factory=dict)
    parameters: Any = None


class Step(Model):
    """One part of a template that lists several: a context once somebody asks for it."""

    key: str
    template: Template
    after: tuple[str, ...] = ()
    on_failure: Literal["cancel", "continue"] = "cancel"
    priority: int | None = None
    max_attempts: int | None = None


class RequestData(Model):
    """For whom and with which data."""

    id: str
    text: str | None = None
    user_id: str | None = None
    purpose_id: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


class Lease(Model):
    """Who holds a queued or processing context, and until when."""

    owner: str
    claim_id: str
    token: str | None = None
    expires_at: datetime


class ErrorRecord(Model):
    """What went wrong, in the words that operators search for."""

    type: str
    message: str
    status_code: int | None = None
    retryable: bool | None = None
    fingerprint: str | None = None
    """Its kind; the store writes it with every error."""


class AttemptRecord(Model):
    """One call and how it ended."""

    number: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    outcome: str
    error: ErrorRecord | None = None
    duration_ms: int | None = None
    trace_id: str | None = None
    fence: int | None = None
    token: str | None = None
    definite: bool = True
    """Whether a whole reply told how it ended; if not, the service may have done the work."""


ABSENT_UNTIL_SET = (
    "lease", "remote", "expire_at", "results", "error", "unsettled", "parent_id"
)  # fmt: skip


class Context(Model):
    """One unit of work for one service type: the document of the collection `contexts`."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    kind: Literal["context", "parent"] = "context"
    id: Any = Field(alias="_id")
    service_type: str
    status: Status
    wait_reason: WaitReason | None = None
    priority: int = DEFAULT_PRIORITY
    template: Template
    request: RequestData
    parent_id: Any = None
    step: str | None = None
    after: list[str] = Field(default_factory=list)
    tags: Any = Field(default_factory=dict)
    metadata: Any = Field(default_factory=dict)
    source: str = "api"
    created_at: datetime
    updated_at: datetime
    available_at: datetime
    deadline_at: datetime | None = None
    fence: int = 0
    lease: Lease | None = None
    attempt: int = 0
    failures: int = 0
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    crashes: int = 0
    snoozes: int = 0
    generation: int = 0
    key_generation: int = 0
    """Which generation the idempotency key names; behind `generation` while the key is kept."""
    remote: dict[str, Any] | None = None
    attempts: list[AttemptRecord] = Field(default_factory=list)
    results: Any = None
    error: ErrorRecord | None = None
    processed_by: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    expire_at: datetime | None = None

    unsettled: dict[str, Any] | None = None
    """What settle has to look at: of a child that it changed, of a parent when."""

    def to_document(self) -> Document:
        """The document as inserted: no `lease`, `remote` or `expire_at` until there is one, and no
        `parent_id` without a parent, so that the index of children has none of the others."""
        document = self.model_dump(by_alias=True)
        for name in ABSENT_UNTIL_SET:
            if document[name] is None:
                del document[name]
        document["status"] = str(self.status)
        document["wait_reason"] = str(self.wait_reason) if self.wait_reason else None
        return document


POLL_CLAIM = "poll"
"""How the claim id of a poll begins; that of a call begins with `claim`."""


class Claim(NamedTuple):
    """A claimed context: what the message to its actor carries."""

    context_id: Any
    fence: int
    claim_id: str

    @property
    def polls(self) -> bool:
        """Whether it was claimed to ask for accepted work, not to be sent."""
        return self.claim_id.startswith(f"{POLL_CLAIM}_")


def context_key(context_id: object) -> str:
    """A context's id as text for logs and keys: plain strings as they are, others as type:text."""
    if isinstance(context_id, str):
        return context_id
    return f"{type(context_id).__name__}:{context_id}"
