"""Base services that answer late, wrongly or too much: what becomes of a context for each reply, by
whether its service may be called again, and that no neighbour suffers."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from agent.embedded.ports import HOST
from agent.models import Document
from agent.services import COMMUNICATION, GENERATIVE
from tests.checker import Call, Plan, sent
from tests.faults.line import Line, LineFactory
from tests.recovery import Recovery
from tests.waiting import wait_until

TIMEOUT_SECONDS = 2
KEY = "the-key"


class Ends(NamedTuple):
    """How the attempt ends that got the reply."""

    outcome: str
    error: str | None
    status_code: int | None = None


class Case(NamedTuple):
    """One reply, and what comes of it.

    Args:
        repeatable: of a service that says `retry`.
        parking: of one that says `park`.
        counts: whether the repeatable one has an attempt less.
    """

    fault: Mapping[str, Any]
    repeatable: Ends
    parking: Ends
    counts: bool = True


def ambiguous(error: str, status_code: int | None = None, **fault: Any) -> Case:
    """The work may have been done."""
    parked = Ends("failed", "OutcomeUnknown", status_code)
    return Case(fault, Ends("retry", error, status_code), parked)


def snoozed(error: str, status_code: int, **fault: Any) -> Case:
    """The service said when it wants to be asked again."""
    ends = Ends("snooze", error, status_code)
    return Case(fault, ends, ends, counts=False)


CASES = {
    "hangs up": ambiguous("OutcomeUnknown", close=True),
    "answers after the timeout": ambiguous("OutcomeUnknown", latency_seconds=TIMEOUT_SECONDS + 1),
    # the head comes at once, and a byte well before each single read would time out
    "drips past the timeout": ambiguous("OutcomeUnknown", drip_seconds_per_byte=0.1),
    "is cut short": ambiguous("OutcomeUnknown", cut_short=True),
    "is garbage": ambiguous("UnreadableReply", 200, garbage=True),
    "is nested too deep": ambiguous("UnreadableReply", 200, deep=100_000),
    "is a 500": ambiguous("ServiceFailed", 500, status=500),
    "is a 429 with seconds": snoozed("TooManyRequests", 429, retry_after=2),
    "is a 429 with a date": snoozed("TooManyRequests", 429, retry_after="date:3"),
    "is a 503 with a date": snoozed("ServiceFailed", 503, status=503, retry_after="date:3"),
}


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line with a worker for a service of each kind, whose calls may take two seconds."""
    services = (GENERATIVE, COMMUNICATION)
    keys = {f"{service.env}_BASE_API_KEY": KEY for service in services}
    times = {f"{service.env}_BASE_TIMEOUT": str(TIMEOUT_SECONDS) for service in services}
    with new_line(lease=30, api_key=KEY, **keys, **times) as line:
        line.start_bridge()
        line.start_worker(GENERATIVE, COMMUNICATION, threads=32)
        yield line


def first_ends(line: Line, ids: Sequence[str]) -> set[Ends]:
    """How the first attempts of these ended."""
    return {_end(document) for document in line.documents(ids)}


def _end(document: Document) -> Ends:
    attempt = document["attempts"][0]
    error = attempt.get("error") or {}
    return Ends(attempt["outcome"], error.get("type"), error.get("status_code"))


def retry_by_hand(line: Line, ids: Sequence[str]) -> None:
    """As an operator does who has looked."""
    for context_id in ids:
        line.repository.retry(context_id)


def calls_of(line: Line, context_id: str) -> list[Call]:
    """Every call for a context; a call is taken down a moment after its end."""
    request_id = line.document(context_id)["request"]["id"]
    return [call for call in sent(line.sandbox.calls()) if call["request_id"] == request_id]


@pytest.mark.parametrize("name", CASES)
def test_a_reply_that(line: Line, recovery: Recovery, name: str) -> None:
    """Its context is called again or parked, others are answered meanwhile, and in the end each is
    done, under one key."""
    case = CASES[name]
    fault = {**case.fault, "times": 1}
    repeatable = line.submit(GENERATIVE, 3, fault=fault)
    parking = line.submit(COMMUNICATION, 3, fault=fault)
    neighbours = line.submit(GENERATIVE, 6) + line.submit(COMMUNICATION, 6)
    ids = [*repeatable, *parking]
    wait_until(lambda: all(each["attempts"] for each in line.documents(ids)), 20)
    assert first_ends(line, repeatable) == {case.repeatable}
    assert first_ends(line, parking) == {case.parking}
    with recovery.of(
        f"Base service's reply {name}, once", at_most="its Retry-After, or 2 s", until="all final"
    ):
        line.wait_until_final([*ids, *neighbours], 40)

    parked = case.parking.outcome == "failed"
    if parked:
        assert line.statuses(parking) == {"failed": 3}
        retry_by_hand(line, parking)
        line.wait_until_final(parking, 20)
    line.assert_sound([*ids, *neighbours], Plan(retried=parking if parked else ()))
    assert {each["failures"] for each in line.documents(repeatable)} == {int(case.counts)}
    assert {each["attempt"] for each in line.documents(ids)} == {2}
    assert {each["failures"] for each in line.documents(neighbours)} == {0}
    assert len({call["idempotency_key"] for call in calls_of(line, parking[0])}) == 1
    delivered = line.sandbox.delivered()
    assert len(delivered) == len(set(delivered))


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Another origin, where nobody has any business."""
    with socket.create_server((HOST, 0)) as listener:
        listener.setblocking(False)
        yield listener


def test_a_redirect_is_not_followed(line: Line, elsewhere: socket.socket) -> None:
    """Neither to another origin, which would learn the key, nor on its own."""
    abroad = f"http://{HOST}:{elsewhere.getsockname()[1]}/api/v1/generate"
    ids: dict[bool | str, list[str]] = {}
    for target in (abroad, True):
        fault = {"redirect": target, "times": 1}
        ids[target] = line.submit(GENERATIVE, 2, fault=fault)
        ids[target] += line.submit(COMMUNICATION, 2, fault=fault)
    redirected = [each for some in ids.values() for each in some]
    neighbours = line.submit(GENERATIVE, 6) + line.submit(COMMUNICATION, 6)
    line.wait_until_final([*redirected, *neighbours], 20)
    for some in ids.values():
        assert first_ends(line, some[:2]) == {Ends("failed", "UnexpectedRedirect", 302)}
        assert first_ends(line, some[2:]) == {Ends("failed", "OutcomeUnknown", 302)}
    wait_until(lambda: all(calls_of(line, each) for each in redirected))
    assert {len(calls_of(line, each)) for each in redirected} == {1}
    assert_nobody_came(elsewhere)

    retry_by_hand(line, redirected)
    line.wait_until_final(redirected, 20)
    line.assert_sound([*redirected, *neighbours], Plan(retried=redirected))


def assert_nobody_came(listener: socket.socket) -> None:
    """No connection waits there, though it would have been let in."""
    with socket.create_connection(listener.getsockname()) as ours:
        assert wait_until(lambda: _next_caller(listener)) == ours.getsockname()


def _next_caller(listener: socket.socket) -> tuple[str, int] | None:
    try:
        connection, address = listener.accept()
    except BlockingIOError:
        return None
    connection.close()
    found: tuple[str, int] = address
    return found
