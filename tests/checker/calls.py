"""Rules about what the services were asked, by their own record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

from agent.models import Document
from agent.workers.encoding import idempotency_key
from tests.checker.events import count
from tests.checker.history import Life, keys_of, was_served


def is_called_once_in_an_attempt(life: Life) -> Iterator[str]:
    """Calls are at most as many as attempts, and none is sent twice in one."""
    document = life.document
    if document is None or not life.is_recorded:
        return
    made = count(document, "attempt") or 0
    if len(life.sent) > made:
        yield f"was called {len(life.sent)} times in {made} attempts"
    numbers = Counter(call.get("attempt") for call in life.sent)
    if twice := sorted(map(str, (number for number, times in numbers.items() if times > 1))):
        yield f"was sent twice in one attempt ({', '.join(twice)})"


def is_called_only_when_started(life: Life) -> Iterator[str]:
    """For each call somebody started an attempt, by MongoDB's word."""
    if not life.is_recorded or not life.steps or not all(step.is_whole for step in life.steps):
        return
    started = _started(life)
    for call in life.sent:
        if call.get("attempt") not in started:
            yield f"was called in attempt {call.get('attempt')}, which nobody started"


def keeps_its_key(life: Life) -> Iterator[str]:
    """All calls of a generation have one idempotency key, and it is the context's own."""
    document = life.document
    if document is None or not life.is_recorded:
        return
    possible = keys_of(document)
    started = _started(life)
    for call in life.sent:
        state = started.get(_attempt(call.get("attempt")), {})
        known = count(state, "key_generation") is not None
        own = [idempotency_key({**state, "_id": document["_id"]})] if known else possible
        if call["idempotency_key"] not in own:
            yield f"was sent under another key: {call['idempotency_key']}, not {' or '.join(own)}"
    keys = [call["idempotency_key"] for call in life.sent]
    order = [possible.index(key) for key in keys if key in possible]
    if any(later < earlier for earlier, later in pairwise(order)):
        yield "was sent under a key of a generation before"


def has_a_result_that_was_served(life: Life) -> Iterator[str]:
    """The stored result is a reply to this very context, of the attempt that completed it."""
    document = life.document or {}
    if document.get("status") != "completed" or not life.is_recorded:
        return
    if not was_served(document.get("results"), life.calls):
        yield "its result was never served to it"
        return
    winners = [each.get("number") for each in life.attempts if each.get("outcome") == "completed"]
    calls = [call for call in life.calls if call.get("attempt") in winners]
    if winners and not was_served(document.get("results"), calls):
        yield "its result was served to another attempt than the one that completed it"


def sends_nothing_after_an_unknown_outcome(life: Life) -> Iterator[str]:
    """A service that parks is not called again after a call that may have had its effect, until an
    operator says so."""
    document = life.document or {}
    if document.get("service_type") not in life.plan.parks:
        return
    accepted = {each.get("number") for each in life.attempts if each.get("outcome") == "accepted"}
    unknown = [
        each.get("number")
        for each in life.attempts[:-1]
        if each.get("definite") is False and each.get("number") not in accepted
    ]
    if len(unknown) > (count(document, "generation") or 0):
        yield f"went on after attempts of unknown outcome: {unknown}"


def is_delivered_once(life: Life) -> Iterator[str]:
    """Under one key at most one call has its effect."""
    delivered = Counter(call["idempotency_key"] for call in life.calls if call.get("delivered"))
    for key, times in delivered.items():
        if times > 1:
            yield f"was delivered {times} times under {key}"


def _started(life: Life) -> Mapping[int, Document]:
    """What each attempt found when it began, by its number."""
    return {
        number: step.after
        for step in life.steps
        if step.moved == ("queued", "processing")
        and (number := count(step.after, "attempt")) is not None
    }


def _attempt(value: object) -> int:
    return value if isinstance(value, int) else -1
