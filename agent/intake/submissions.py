"""Submitting once: what comes twice under one key makes one request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from agent.errors import (
    AlreadyStored,
    IdempotencyKeyReused,
    NotStorable,
    RequestInvalid,
    StillInProgress,
    StoreUnavailable,
)
from agent.intake.request_service import Request, RequestService
from agent.logs import get_logger
from agent.models import Document, new_id
from agent.store.idempotency import Reservation, UniqueHold

PATIENCE_SECONDS = 1.0
"""How long a submission waits for the one that took its unique key a moment before."""
LOOK_SECONDS = 0.02

log = get_logger()


class KeyStore(Protocol):
    """Where keys are kept."""

    def reserve(self, key: str, *, fingerprint: str, request_id: str) -> Reservation:
        """Take an idempotency key, or see who has it."""
        ...

    def keep_answer(self, held: Reservation, answer: Document) -> None:
        """Say what the request came to."""
        ...

    def give_back(self, held: Reservation, *, forget: bool) -> None:
        """Let go of an idempotency key."""
        ...

    def take_unique(
        self, key: str, request_id: str, *, not_before: datetime | None = None
    ) -> UniqueHold:
        """Take a unique key, or see who has it."""
        ...

    def give_unique_back(self, key: str, request_id: str) -> None:
        """Let go of a unique key."""
        ...


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission.

    Args:
        id: of the context of the request, or of the parent of its steps.
        existing: another request, not finished yet, holds its unique key: it is that one's id.
    """

    id: str
    existing: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What makes two submissions the same, or keeps one away while the other is not finished.

    Args:
        fingerprint: what two submissions of the same have in common.
        not_before: when it may run.
    """

    fingerprint: str
    idempotency_key: str | None = None
    unique_key: str | None = None
    not_before: datetime | None = None

    @classmethod
    def of(cls, request: Request, fingerprint: str) -> Asked:
        """The keys of a request."""
        return cls(fingerprint, request.idempotency_key, request.unique_key, request.available_at)


Make = Callable[[str], object]
"""Stores what is asked for under this id."""


class Submissions:
    """Hands requests to the `RequestService`, each once under its keys."""

    def __init__(self, service: RequestService, keys: KeyStore) -> None:
        self._service = service
        self._keys = keys

    def submit(
        self, request: Request, *, owner: str, source: str = "api", id: str | None = None
    ) -> Submitted:
        """Store a request, or find the one that came under its keys before.

        Args:
            owner: whose idempotency keys these are; others may use the same words.
            id: of the context or the parent, of one without an idempotency key; the same id again
                makes nothing new.

        Raises:
            RequestInvalid: it cannot become a context; every problem is named.
            IdempotencyKeyReused: another request came under its idempotency key.
            StillInProgress: the same is being stored just now.
            StoreUnavailable: MongoDB did not answer. Sent again under the same idempotency key, it
                makes one request all the same.
        """

        def make(request_id: str) -> None:
            self._service.submit(request, source=source, id=request_id)

        return self.once(Asked.of(request, fingerprint_of(request)), make, owner=owner, id=id)

    def once(self, asked: Asked, make: Make, *, owner: str, id: str | None = None) -> Submitted:
        """Have something stored, or find what came under its keys before; as `submit` does.

        Args:
            make: does it, idempotent by the id that it is given; `AlreadyStored` is no error.
        """
        if asked.idempotency_key is None:
            return self._unique(asked, id or new_id("ctx"), make)
        held = self._keys.reserve(
            f"{owner} {asked.idempotency_key}",
            fingerprint=asked.fingerprint,
            request_id=id or new_id("ctx"),
        )
        return self._make(held, asked, make) if held.is_ours else _found(held, asked)

    def _make(self, held: Reservation, asked: Asked, make: Make) -> Submitted:
        try:
            submitted = self._unique(asked, held.request_id, make)
        except (RequestInvalid, NotStorable):
            self._keys.give_back(held, forget=True)
            raise
        except (StillInProgress, StoreUnavailable):
            self._give_back(held)
            raise
        self._keys.keep_answer(held, asdict(submitted))
        return submitted

    def _give_back(self, held: Reservation) -> None:
        try:
            self._keys.give_back(held, forget=False)
        except StoreUnavailable as exc:  # the next one has to wait until it counts as dead
            log.warning("idempotency_key.kept", error=str(exc))

    def _unique(self, asked: Asked, request_id: str, make: Make) -> Submitted:
        key = asked.unique_key
        if key is None:
            return self._create(make, request_id)
        hold = self._take(key, request_id, asked.not_before)
        if not hold.is_ours:
            return Submitted(hold.request_id, existing=True)
        try:
            return self._create(make, request_id)
        except (RequestInvalid, NotStorable):
            self._keys.give_unique_back(key, request_id)
            raise

    def _take(self, key: str, request_id: str, not_before: datetime | None) -> UniqueHold:
        """The key, or who has it; who has it and is not stored yet is waited for."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            hold = self._keys.take_unique(key, request_id, not_before=not_before)
            if hold.is_ours or hold.is_stored:
                return hold
            if time.monotonic() >= end:
                raise StillInProgress("a request with the same `unique_key` is being stored")
            threading.Event().wait(LOOK_SECONDS)

    def _create(self, make: Make, request_id: str) -> Submitted:
        with suppress(AlreadyStored):  # by whoever had the key before and died
            make(request_id)
        return Submitted(request_id)


def fingerprint_of(request: Request) -> str:
    """What two submissions of the same request have in common."""
    said = request.model_dump(exclude={"idempotency_key"}, exclude_unset=True)
    return sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _found(held: Reservation, asked: Asked) -> Submitted:
    if held.fingerprint != asked.fingerprint:
        raise IdempotencyKeyReused(
            "another request came under this idempotency key less than 24 hours ago"
        )
    if held.answer is None:
        raise StillInProgress("the request with this idempotency key is being stored")
    return Submitted(**held.answer)
