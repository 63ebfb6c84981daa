"""What the repository must do, as a plain function of a plain dict: the model it is compared with.

`after` is the whole of it. A context is a dict of the fields below; `None` says that nothing may
happen, to that context or any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from agent.models import Document

State = dict[str, Any]

NO_LEASE = {"claim": None, "token": None, "until": None}
ANEW = {"failures": 0, "crashes": 0, "snoozes": 0, "remote": False, "gone": None}
WAITING = ("pending", "scheduled")
FINAL = ("completed", "failed", "cancelled")
DAY = timedelta(days=1)
KEPT = {"completed": 30 * DAY, "failed": 10 * DAY, "cancelled": 30 * DAY}
"""How long what ends like this is kept, unless another program inserted it."""


def after(change: str, was: State, now: datetime, **given: Any) -> State | None:
    """The context after a change that somebody tries; None where it must not take place."""
    status = was["status"]
    mine = (was["fence"], was["claim"], was["token"]) == (
        given.get("fence"), given.get("claim"), given.get("token")
    )  # fmt: skip
    held = mine and status == "processing"
    over = was["until"] is not None and was["until"] <= now
    late = was["deadline"] is not None and was["deadline"] <= now
    to = {name: given[name] for name in ("due", "until", "key") if name in given}
    gone = {status: {} if was["foreign"] else {"gone": now + KEPT[status]} for status in KEPT}
    match change:
        case "adopt" if status == "pending" and was["fence"] is None:
            return was | {"fence": 0}
        case "claim" if status == "pending" and was["fence"] is not None and was["due"] <= now:
            fence, claim = was["fence"] + 1, given["claim"]
            return was | to | {"status": "queued", "fence": fence, "claim": claim}
        case "start" if mine and status == "queued":
            calls = was["attempt"] + (not was["remote"])
            return was | to | {"status": "processing", "token": given["new"], "attempt": calls}
        case "renew" if held:
            return was | to
        case "complete" if held:
            ended = {"status": "completed", "crashes": 0, "remote": False}
            return was | NO_LEASE | ended | gone["completed"]
        case "fail" if held:
            failures = was["failures"] + given["counts"]
            ended = {"status": "failed", "crashes": 0, "failures": failures, "remote": False}
            return was | NO_LEASE | ended | gone["failed"]
        case "retry later" if held:
            waits = {"failures": was["failures"] + 1, "snoozes": 0, "crashes": 0, "remote": False}
            return was | NO_LEASE | to | waits | {"status": "scheduled"}
        case "snooze" if held:
            waits = {"snoozes": was["snoozes"] + 1, "crashes": 0, "remote": False}
            return was | NO_LEASE | to | waits | {"status": "scheduled"}
        case "accept" if held:
            return was | NO_LEASE | to | {"status": "scheduled", "crashes": 0, "remote": True}
        case "release" if mine and status in ("queued", "processing"):
            return was | NO_LEASE | {"status": "pending"}
        case "rescue" if over and status == "queued":
            return was | NO_LEASE | {"status": "pending"}
        case "rescue" if over and status == "processing" and given["gives_up"]:
            crashes = was["crashes"] + 1
            ended = {"status": "failed", "crashes": crashes, "remote": False}
            return was | NO_LEASE | ended | gone["failed"]
        case "rescue" if over and status == "processing":
            crashes = was["crashes"] + 1
            return was | NO_LEASE | to | {"status": "scheduled", "crashes": crashes}
        case "promote" if status == "scheduled" and was["due"] <= now:
            return was | {"status": "pending"}
        case "run now" if status == "scheduled":
            return was | {"status": "pending", "due": now}
        case "postpone" if status == "scheduled" and given["due"] > now:
            ends_first = was["deadline"] is not None and was["deadline"] <= given["due"]
            return None if ends_first else was | to
        case "set deadline" if status not in FINAL:
            new = given["deadline"]
            return was | {"deadline": new} if new is None or new > now else None
        case "expire" if (
            status in WAITING and was["deadline"] is not None and was["deadline"] <= now
        ):
            return was | {"status": "failed", "remote": False} | gone["failed"]
        case "cancel" if status not in FINAL:
            return was | NO_LEASE | {"status": "cancelled", "remote": False} | gone["cancelled"]
        case "retry" if status in ("failed", "cancelled"):
            begun = {"status": "pending", "due": now, "generation": was["generation"] + 1}
            return was | to | ANEW | begun | ({"deadline": None} if late else {})
    return None


def state_of(document: Document) -> State:
    """A stored context as the model sees it."""
    lease = document.get("lease") or {}
    return {
        "status": document["status"],
        "fence": document.get("fence"),
        "claim": lease.get("claim_id"),
        "token": lease.get("token"),
        "until": lease.get("expires_at"),
        "due": document.get("available_at"),
        "deadline": document.get("deadline_at"),
        "attempt": document.get("attempt", 0),
        "failures": document.get("failures", 0),
        "crashes": document.get("crashes", 0),
        "snoozes": document.get("snoozes", 0),
        "generation": document.get("generation", 0),
        "remote": bool(document.get("remote")),
        "foreign": document.get("source") == "foreign" or document.get("fence") is None,
        "gone": document.get("expire_at"),
    }


def states_of(documents: Iterable[Document]) -> dict[Any, State]:
    return {document["_id"]: state_of(document) for document in documents}
