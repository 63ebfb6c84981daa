"""A whole run, read afterwards, and in it the life of each context."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agent.models import Document, context_key
from agent.services import BUILT_IN
from agent.workers.encoding import idempotency_key
from tests.checker.broker import Broker
from tests.checker.events import ChangeEvent, Gap, Record, Step, steps
from tests.checker.plan import Plan

Call = Mapping[str, Any]
"""One line of a service's record."""
Line = Mapping[str, Any]
"""One line of a log."""

POLLS = "/api/v1/contexts/"
RECORDED = frozenset(service.name for service in BUILT_IN)
"""The services whose calls are all taken down."""


@dataclass(frozen=True)
class History:
    """All that is known of a run; what is None was not looked at.

    Args:
        submitted: every id whose insert was acknowledged.
        documents: the contexts as they are now.
        calls: what the services took down.
        record: the changes of all contexts.
        lines: of the logs of all workers and bridges.
        broker: what Redis holds.
    """

    submitted: Sequence[Any]
    documents: Sequence[Document]
    calls: Sequence[Call]
    record: Record | None = None
    lines: Iterable[Line] = ()
    broker: Broker | None = None

    def lives(self, plan: Plan) -> Iterator[Life]:
        """The life of each submitted context."""
        documents = {context_key(document["_id"]): document for document in self.documents}
        calls = Calls(self.calls, self.documents)
        lines = _by_context(self.lines)
        for context_id in self.submitted:
            key = context_key(context_id)
            document = documents.get(key)
            yield Life(
                key=key,
                document=document,
                calls=calls.of(document) if document is not None else [],
                entries=None if self.record is None else self._entries.get(key, []),
                lines=lines.get(key, []),
                plan=plan,
            )

    @cached_property
    def _entries(self) -> Mapping[str, Sequence[ChangeEvent | Gap]]:
        return {} if self.record is None else self.record.of_contexts()


@dataclass(frozen=True)
class Life:
    """All that is known of one context.

    Args:
        key: its id as text.
        document: as it is in the end; None when there is none.
        calls: those that were made for it, polls too.
        entries: its changes; None when they were not recorded.
        lines: what the logs say of it.
    """

    key: str
    document: Document | None
    calls: Sequence[Call]
    entries: Sequence[ChangeEvent | Gap] | None
    lines: Sequence[Line]
    plan: Plan = field(default_factory=Plan)

    @cached_property
    def steps(self) -> Sequence[Step]:
        """Its changes with what was before and after each."""
        return tuple(steps(self.entries or (), touched=self.is_touched))

    @property
    def is_touched(self) -> bool:
        """Whether another program wrote it while it was ours."""
        return self.plan.was("touched", self.key)

    @property
    def sent(self) -> list[Call]:
        """The calls that asked for work, in the order of the attempts."""
        return sorted(sent(self.calls), key=lambda call: _number(call.get("attempt")))

    @property
    def is_recorded(self) -> bool:
        """Whether every call that was made for it is known."""
        return (self.document or {}).get("service_type") in RECORDED

    @property
    def attempts(self) -> list[Document]:
        """What the document keeps of its attempts."""
        found = (self.document or {}).get("attempts")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    @property
    def logged(self) -> Mapping[str, list[Line]]:
        """What the logs say of it, by event."""
        found: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            found[str(line.get("event"))].append(line)
        return found


class Calls:
    """The services' record, by whom each call was for: by its key, or by its request's id where
    no two contexts share one."""

    def __init__(self, calls: Sequence[Call], documents: Sequence[Document]) -> None:
        self._by_key: dict[str, list[Call]] = defaultdict(list)
        self._by_request: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            self._by_key[str(call["idempotency_key"])].append(call)
            self._by_request[str(call["request_id"])].append(call)
        self._asking: dict[str, int] = defaultdict(int)
        for document in documents:
            self._asking[request_id(document)] += 1

    def of(self, document: Document) -> list[Call]:
        """The calls for one context."""
        found = [call for key in keys_of(document) for call in self._by_key.get(key, [])]
        request = request_id(document)
        if self._asking[request] == 1:
            known = set(map(id, found))
            found += [call for call in self._by_request.get(request, []) if id(call) not in known]
        return found


def keys_of(document: Document) -> list[str]:
    """The idempotency keys that a context may have had, by generation."""
    last = _number(document.get("generation"))
    return [idempotency_key({**document, "key_generation": each}) for each in range(last + 1)]


def request_id(document: Document) -> str:
    """By which the calls of a context are known."""
    request = document.get("request")
    found = request.get("id") if isinstance(request, dict) else None
    return str(found or context_key(document["_id"]))


def sent(calls: Iterable[Call]) -> list[Call]:
    """The calls that ask for work; not the polls."""
    return [call for call in calls if not str(call["path"]).startswith(POLLS)]


def was_served(results: Any, calls: Iterable[Call]) -> bool:
    """Whether these results are the body of a good reply to one of the calls."""
    body = json.dumps(results, separators=(",", ":")).encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    return any(call["reply_sha256"] == digest and _is_good(call["status"]) for call in calls)


def _by_context(lines: Iterable[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if "context_id" in line:
            found[str(line["context_id"])].append(line)
    return found


def _is_good(status: Any) -> bool:
    return isinstance(status, int) and 200 <= status < 300


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
