"""Which contexts an operator means: by service, status, kind of error, tag, template, user, time.

Pure. Every value is compared with `$eq` and nothing else, so that none is taken for an operator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from agent.errors import RequestInvalid
from agent.models import Document, Status
from agent.words import shortened

UNKNOWN = "unknown"
"""The kind of what failed without a fingerprint: before there were any, or by another program."""

LONGEST_WORD = 100

NO_TEXT: Document = {"$not": {"$type": "string"}}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is None does not matter.

    Args:
        kind: the fingerprint of its error, or `unknown`.
        tag: a name and its value; or one word of a list of tags.
        since: not before then; `until` not after then. Which time is meant is for the asking to
            say.

    Raises:
        RequestInvalid: a value has the wrong type, or cannot be compared.
    """

    service_type: str | None = None
    status: Status | None = None
    kind: str | None = None
    error_type: str | None = None
    tag: str | tuple[str, str] | None = None
    template_id: str | None = None
    user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))

    def filter(self, *, since_field: str) -> Document:
        """The filter in MongoDB's words; its times are compared with this field."""
        wanted = {
            "service_type": self.service_type,
            "error.type": self.error_type,
            "template.id": self.template_id,
            "request.user_id": self.user_id,
            **_tag(self.tag),
        }
        filter: Document = {
            name: {"$eq": value} for name, value in wanted.items() if value is not None
        }
        if self.status is not None:
            filter["status"] = str(self.status)
        if self.kind is not None:
            filter["error.fingerprint"] = NO_TEXT if self.kind == UNKNOWN else {"$eq": self.kind}
        return filter | self._times(since_field)

    def _times(self, field: str) -> Document:
        """What has no time at all is left out by `since` alone: it may be from any."""
        times: Document = {}
        if self.since is not None:
            times["$gte"] = self.since
        if self.until is not None:
            times["$not"] = {"$gt": self.until}
        return {field: times} if times else {}


def _tag(tag: str | tuple[str, str] | None) -> dict[str, str]:
    if tag is None:
        return {}
    return {"tags": tag} if isinstance(tag, str) else {f"tags.{tag[0]}": tag[1]}


def _check(name: str, value: Any) -> None:
    if value is None:
        return
    if name in ("since", "until"):
        right = isinstance(value, datetime) and value.tzinfo is not None
    elif name == "status":
        right = isinstance(value, Status)
    elif name == "tag" and isinstance(value, tuple):
        right = len(value) == 2 and all(map(_is_text, value)) and _is_name(value[0])
    else:
        right = _is_text(value)
    if not right:
        word = shortened(repr(value), LONGEST_WORD)
        raise RequestInvalid(f"{name}: {word} is nothing that contexts can be selected by")


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and "\0" not in value and bool(value.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def _is_name(name: str) -> bool:
    """Whether a path may end in it: with a dot it would lead somewhere else."""
    return "." not in name and not name.startswith("$")
