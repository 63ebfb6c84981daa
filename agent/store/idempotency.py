"""Keys that make a second submission find the first: idempotency keys, and unique keys.

Each is a document whose `_id` is the key, in a collection of its own. Whoever takes one over writes
a token of its own in the same guarded write, so of several only one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from agent.errors import AlreadyStored, ContextNotFound, StillInProgress
from agent.models import FINAL, Document
from agent.store.connection import translated
from agent.store.operations import Operations

KEPT = timedelta(hours=24)
"""How long an idempotency key stands for its first request."""
BUSY = timedelta(seconds=30)
"""Who has taken a key and stored nothing for so long is taken to be dead."""
LONGEST_UNFINISHED = timedelta(days=90)
"""How long a unique key is kept, beyond the time at which its request may run."""
TRIES = 20


@dataclass(frozen=True, slots=True)
class Reservation:
    """An idempotency key, by whom it is held.

    Args:
        request_id: of the request that is made under it, by whoever makes it.
        answer: of that request, once it is stored.
        is_ours: whether it is for us to make the request.
    """

    key: str
    token: str
    fingerprint: str
    request_id: str
    answer: Document | None
    is_ours: bool


@dataclass(frozen=True, slots=True)
class UniqueHold:
    """A unique key, and the request that has it.

    Args:
        is_stored: whether the holder is there; if not, it may be on its way.
    """

    request_id: str
    is_ours: bool
    is_stored: bool


class Idempotency(Operations):
    """Taking keys, and giving them back."""

    def reserve(self, key: str, *, fingerprint: str, request_id: str) -> Reservation:
        """Take an idempotency key for a request, or see who has it.

        One whose holder has died before its request was stored is taken over, its request's id
        with it, so that what may be stored half is the same request when it is made again.

        Args:
            fingerprint: of the request; another one may not come under the same key.
            request_id: for it, if it is the first.

        Raises:
            StoreUnavailable: MongoDB did not answer.
            StillInProgress: others take it all the time.
        """
        for _ in range(TRIES):
            now, token = self.now(), uuid4().hex
            fresh = {
                "fingerprint": fingerprint, "request_id": request_id, "token": token,
                "busy_until": now + BUSY, "expire_at": now + KEPT,
            }  # fmt: skip
            found = self._insert_or_find("idempotency_keys", {"_id": key, **fresh})
            if found is None:
                return Reservation(key, token, fingerprint, request_id, None, is_ours=True)
            if found["expire_at"] <= now:  # the server deletes it once a minute
                if self._replace_key("idempotency_keys", found, fresh, drop="answer"):
                    return Reservation(key, token, fingerprint, request_id, None, is_ours=True)
                continue
            held = _reservation(found)
            settled = held.answer is not None or held.fingerprint != fingerprint
            if settled or found["busy_until"] > now:
                return held
            taken = {"token": token, "busy_until": now + BUSY}
            if self._replace_key("idempotency_keys", found, taken):
                return Reservation(key, token, fingerprint, held.request_id, None, is_ours=True)
        raise StillInProgress("several take this idempotency key at once")

    def keep_answer(self, held: Reservation, answer: Document) -> None:
        """Say what the request came to, for whoever sends it again."""
        with translated():
            self.database["idempotency_keys"].update_one(
                {"_id": held.key, "token": held.token}, {"$set": {"answer": answer}}
            )

    def give_back(self, held: Reservation, *, forget: bool) -> None:
        """Let go of a key: as if it had never been taken, or for the next to make its request."""
        keys, ours = self.database["idempotency_keys"], {"_id": held.key, "token": held.token}
        with translated():
            if forget:
                keys.delete_one(ours)
            else:
                keys.update_one(ours, {"$set": {"busy_until": self.now()}})

    def take_unique(
        self, key: str, request_id: str, *, not_before: datetime | None = None
    ) -> UniqueHold:
        """Take a unique key for a request, unless one that is not finished has it.

        Args:
            not_before: when the request may run.

        Raises:
            StoreUnavailable: MongoDB did not answer.
            StillInProgress: others take it all the time.
        """
        for _ in range(TRIES):
            now = self.now()
            fresh = {
                "holder": request_id, "token": uuid4().hex, "taken_at": now,
                "expire_at": max(now, not_before or now) + LONGEST_UNFINISHED,
            }  # fmt: skip
            found = self._insert_or_find("unique_keys", {"_id": key, **fresh})
            if found is None or found["holder"] == request_id:
                return UniqueHold(request_id, is_ours=True, is_stored=False)
            try:
                finished = self.find_status(found["holder"]) in FINAL
            except ContextNotFound:
                finished = found["taken_at"] + BUSY <= now
                if not finished:
                    return UniqueHold(found["holder"], is_ours=False, is_stored=False)
            if not finished:
                return UniqueHold(found["holder"], is_ours=False, is_stored=True)
            if self._replace_key("unique_keys", found, fresh):
                return UniqueHold(request_id, is_ours=True, is_stored=False)
        raise StillInProgress("several take this unique key at once")

    def give_unique_back(self, key: str, request_id: str) -> None:
        """Let go of a unique key whose request was never stored."""
        with translated():
            self.database["unique_keys"].delete_one({"_id": key, "holder": request_id})

    def _insert_or_find(self, collection: str, document: Document) -> Document | None:
        """None when it was inserted; else what is there."""
        for _ in range(TRIES):
            try:
                with translated():
                    self.database[collection].insert_one(document)
            except AlreadyStored:
                with translated():
                    found = self.database[collection].find_one({"_id": document["_id"]})
                if found is not None:
                    return found
            else:
                return None
        raise StillInProgress("this key comes and goes all the time")

    def _replace_key(
        self, collection: str, found: Document, fields: Document, drop: str | None = None
    ) -> bool:
        update: dict[str, Any] = {"$set": fields}
        if drop is not None:
            update["$unset"] = {drop: ""}
        same = {"_id": found["_id"], "token": found["token"]}
        with translated():
            return self.database[collection].update_one(same, update).matched_count == 1


def _reservation(found: Document) -> Reservation:
    return Reservation(
        found["_id"], found["token"], found["fingerprint"], found["request_id"],
        found.get("answer"), is_ours=False,
    )  # fmt: skip
