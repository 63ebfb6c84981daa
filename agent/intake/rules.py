"""What each field of the contract has to be, whatever another program left in it. Pure.

A `Rule` is given what was found and says what it has to be. What it hands back unchanged stays
untouched, byte for byte; anything else is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from agent.errors import ContextUnreadable
from agent.intake.values import as_date, as_text, as_version, is_text, is_whole, kind_of
from agent.models import (
    ABSENT,
    HIGHEST_PRIORITY,
    KEPT_ATTEMPTS,
    MAX_CRASHES,
    SCHEMA,
    AttemptRecord,
    ErrorRecord,
    clamp_priority,
    new_id,
)

MAX_COUNT = 2**31 - 1
MAX_ATTEMPTS = 1000


Rule = Callable[[Any], Any]
"""From what was found, or `ABSENT`, to what has to be there, or `ABSENT` for nothing."""


class Mended(NamedTuple):
    """The fields that change, and what those held that were there before."""

    changes: dict[str, Any]
    originals: dict[str, Any]


def mend(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> Mended:
    """Apply each rule to its field."""
    changes: dict[str, Any] = {}
    originals: dict[str, Any] = {}
    for name, rule in rules.items():
        found = values.get(name, ABSENT)
        wanted = rule(found)
        if wanted is found:
            continue
        changes[name] = wanted
        if found is not ABSENT:
            originals[name] = found
    return Mended(changes, originals)


# --- the parts of a context -----------------------------------------------------------------------


def template_rules(
    *, template_id: str, version: str, service_type: str, body: Mapping[str, Any]
) -> dict[str, Rule]:
    """The rules of a template that came as an object; what is given here fills its gaps."""
    return {
        "id": exactly(template_id),
        "version": lambda found: found if is_text(found) else as_version(found) or version,
        "service_type": exactly(service_type),
        "service_template": lambda found: found if isinstance(found, Mapping) else body,
    }


def time_rules(values: Mapping[str, Any], now: datetime) -> dict[str, Rule]:
    """When it was made, and since when it may run: since then, but never later than now."""
    created_at = as_date(values.get("created_at")) or now
    others = ("deadline_at", "started_at", "completed_at", "expire_at")
    return {
        "created_at": date(otherwise=now),
        "updated_at": lambda _: now,
        "available_at": date(otherwise=min(created_at, now)),
        **dict.fromkeys(others, if_there(date(otherwise=None))),
    }


def record_rules(values: Mapping[str, Any], max_attempts: int) -> dict[str, Rule]:
    """What is counted and noted about a context.

    A lease is not another program's to give; nor is `remote`, whose address would be asked with
    our key. `source` tells an adopted context from our own, so it is always set.
    """
    limit = _limit(max_attempts)
    counts = ("fence", "attempt", "snoozes", "generation", "key_generation")
    return {
        "schema": lambda found: found if is_whole(found) and found == SCHEMA else SCHEMA,
        "kind": exactly("context"),
        "wait_reason": lambda _: None,
        "step": if_there(_text_or_null),
        "parent_id": if_there(_text_or_null),
        "unsettled": if_there(lambda v: v if isinstance(v, Mapping) else {}),
        "after": if_there(lambda v: v if isinstance(v, list) and all(map(is_text, v)) else []),
        "tags": lambda found: {} if found is ABSENT else found,
        "metadata": lambda found: {} if found is ABSENT else found,
        "source": exactly("foreign"),
        "lease": if_there(lambda _: None),
        "remote": if_there(lambda _: None),
        "max_attempts": limit,
        "failures": count(below=limit(values.get("max_attempts"))),
        "crashes": count(below=MAX_CRASHES),
        **dict.fromkeys(counts, count(below=MAX_COUNT)),
        "attempts": lambda found: found if _are_attempts(found) else [],
        "error": if_there(lambda found: found if _is_a(ErrorRecord, found) else None),
        "processed_by": if_there(_text_or_null),
    }


def priority(*, urgent: bool) -> Rule:
    def rule(found: Any) -> Any:
        wanted = HIGHEST_PRIORITY if urgent else clamp_priority(found)
        return found if is_whole(found) and found == wanted else wanted

    return rule


# --- kinds of rules -------------------------------------------------------------------------------


def if_there(rule: Rule) -> Rule:
    """May be missing; must else be as the rule says."""
    return lambda found: found if found is ABSENT else rule(found)


def exactly(wanted: str) -> Rule:
    return lambda found: found if is_text(found) and found == wanted else wanted


def date(*, otherwise: datetime | None) -> Rule:
    def rule(found: Any) -> Any:
        read = as_date(found)
        if read is None:
            return otherwise
        return found if isinstance(found, datetime) else read

    return rule


def count(*, below: int) -> Rule:
    return lambda found: found if is_whole(found) and 0 <= found < below else 0


def needed_text(place: str) -> Rule:
    """A text that the work rests on: without it, better no call than a wrong one."""

    def rule(found: Any) -> Any:
        if found is None or is_text(found):
            return found
        text = as_text(found)
        if text is None:
            raise ContextUnreadable(f"`{place}` is {kind_of(found)}, not a string")
        return text

    return if_there(rule)


def _request_id(found: Any) -> Any:
    return found if is_text(found) and found else as_text(found) or new_id("req")


def _data(found: Any) -> Any:
    if found is None or isinstance(found, Mapping):
        return {} if found is None else found
    raise ContextUnreadable(f"`request.data` is {kind_of(found)}, not an object")


def _text_or_null(found: Any) -> Any:
    return found if is_text(found) else None


def _limit(max_attempts: int) -> Rule:
    def rule(found: Any) -> Any:
        whole = int(found) if isinstance(found, float) and found.is_integer() else found
        if not is_whole(whole) or not 1 <= whole <= MAX_ATTEMPTS:
            return max_attempts
        return whole

    return rule


def _are_attempts(found: Any) -> bool:
    return (
        isinstance(found, list)
        and len(found) <= KEPT_ATTEMPTS
        and all(_is_a(AttemptRecord, entry) for entry in found)
    )


def _is_a(model: type[AttemptRecord] | type[ErrorRecord], value: Any) -> bool:
    try:
        model.model_validate(value, strict=True)
    except ValidationError:
        return False
    return True


REQUEST_RULES: Mapping[str, Rule] = {
    "id": _request_id,
    "text": needed_text("request.text"),
    "user_id": needed_text("request.user_id"),
    "purpose_id": if_there(as_text),
    "data": if_there(_data),
    "metadata": if_there(lambda found: found if isinstance(found, Mapping) else {}),
}
