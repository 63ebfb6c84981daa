"""What happened, read afterwards, and what must be true of it whatever died in between.

Pure: from the documents as they are in the end and from the services' own record of calls.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agent.models import FINAL, Document, context_key
from agent.services import BUILT_IN
from agent.workers.encoding import idempotency_key

Call = Mapping[str, Any]
"""One line of a service's record."""

POLLS = "/api/v1/contexts/"
RECORDED = frozenset(service.name for service in BUILT_IN)
"""The services whose calls are all taken down."""


@dataclass(frozen=True, slots=True)
class History:
    """The end of a run.

    Args:
        submitted: every id whose insert was acknowledged.
        documents: the contexts as they are now.
        calls: what the services took down.
    """

    submitted: Sequence[Any]
    documents: Sequence[Document]
    calls: Sequence[Call]


def violations(history: History, failed: Mapping[Any, str] | None = None) -> list[str]:
    """Everything that must not be, one sentence each; empty when the run was sound.

    Args:
        failed: the error type that a context is meant to fail with, by its id; all others
            are to complete.
    """
    planned = failed or {}
    documents = {context_key(document["_id"]): document for document in history.documents}
    calls = _by_request(history.calls)
    found: list[str] = []
    for context_id in history.submitted:
        key = context_key(context_id)
        document = documents.get(key)
        if document is None:
            found.append(f"{key}: is lost")
            continue
        problems = [*_of_end(document, planned.get(context_id)), *_of_attempts(document)]
        if document.get("service_type") in RECORDED:
            problems += _of_calls(document, calls.get(request_id(document), []))
        found += [f"{key}: {problem}" for problem in problems]
    return found


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


def _by_request(calls: Iterable[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        found[str(call["request_id"])].append(call)
    return found


def _of_end(document: Document, planned: str | None) -> Iterator[str]:
    status = document.get("status")
    if status not in FINAL:
        yield f"is {status}, not final"
    if document.get("lease"):
        yield "still has a lease"
    error = (document.get("error") or {}).get("type")
    if status == "failed" and planned != error:
        yield f"failed with {error}, planned was {planned}"
    if status == "completed" and planned is not None:
        yield f"completed, planned was {planned}"


def _of_attempts(document: Document) -> Iterator[str]:
    attempts = document.get("attempts") or []
    completed = [each for each in attempts if each.get("outcome") == "completed"]
    wanted = 1 if document.get("status") == "completed" else 0
    if len(completed) != wanted and not document.get("generation"):
        yield f"has {len(completed)} attempts that completed it"
    for name in ("number", "fence"):
        if not _rises(each.get(name) for each in attempts):
            yield f"the {name} of its attempts does not rise"
        if attempts and (attempts[-1].get(name) or 0) > (document.get(_TOTALS[name]) or 0):
            yield f"the {name} of its last attempt is beyond its own"


def _of_calls(document: Document, calls: Sequence[Call]) -> Iterator[str]:
    requests = sent(calls)
    if len(requests) > document.get("attempt", 0):
        yield f"was called {len(requests)} times in {document.get('attempt', 0)} attempts"
    numbers = [call["attempt"] for call in requests]
    if len(set(numbers)) < len(numbers):
        yield f"was sent twice in one attempt ({numbers})"
    others = {call["idempotency_key"] for call in requests} - {idempotency_key(document)}
    if others and not document.get("generation"):
        yield f"was sent under other keys: {sorted(map(str, others))}"
    if document.get("status") == "completed" and not was_served(document.get("results"), calls):
        yield "its result was never served to it"


_TOTALS = {"number": "attempt", "fence": "fence"}
"""What the document itself counts of its attempts."""


def _is_good(status: Any) -> bool:
    return isinstance(status, int) and 200 <= status < 300


def _rises(values: Iterable[Any]) -> bool:
    known = [value for value in values if value is not None]
    return all(first < second for first, second in pairwise(known))
