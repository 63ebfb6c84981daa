"""Requests of several steps while the processes that carry them out are killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from agent.models import Document, Step, Template
from agent.services import ANALYSIS, COMMUNICATION, GENERATIVE, ServiceType
from tests.checker import Plan
from tests.faults.line import Line, LineFactory
from tests.recovery import Recovery
from tests.waiting import wait_until

REQUESTS = 50
ALL = (GENERATIVE, ANALYSIS, COMMUNICATION)
PLAN = Plan(parks=())


def a_step(key: str, service: ServiceType, body: Document, *after: str) -> Step:
    template = Template(id="work", service_type=service.name, service_template=body)
    return Step(key=key, template=template, after=after)


CAMPAIGN = [
    a_step("draft", GENERATIVE, {"prompt": "Number {{ request.data.number }}"}),
    a_step("score", ANALYSIS, {"text": "{{ inputs.draft.text }}"}, "draft"),
    a_step(
        "send",
        COMMUNICATION,
        {
            "recipient": "ann",
            "channel": "mail",
            "message": "{{ inputs.draft.text }}, of {{ inputs.score.statistics.count }}",
        },
        "draft",
        "score",
    ),
]


@pytest.fixture(scope="module")
def line(new_line: LineFactory) -> Iterator[Line]:
    """A line whose services may all be asked again under the same key."""
    with new_line(COMMUNICATION_BASE_ON_AMBIGUOUS="retry") as line:
        yield line


def steps_of(requests: Sequence[str]) -> list[str]:
    return [f"{request}_{step.key}" for request in requests for step in CAMPAIGN]


def ended(line: Line, requests: Sequence[str], key: str) -> int:
    return line.count([f"{request}_{key}" for request in requests], status="completed")


def outbox(line: Line) -> list[dict[str, str]]:
    """The messages that were delivered."""
    path = line.sandbox.folder / "outbox" / "mail.jsonl"
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def test_every_step_takes_effect_once_whoever_is_killed(line: Line, recovery: Recovery) -> None:
    """Worker and bridge die amid all three steps; what was settled by halves is settled by the
    next, and each request ends completed, each of its messages delivered once."""
    bridge = line.start_bridge()
    worker = line.start_worker(*ALL, threads=12)
    slow = {"series": [1, 2, 3], "sandbox": {"latency_seconds": 0.3}}
    requests = [
        line.submit_request(CAMPAIGN, {"number": number, **slow}) for number in range(REQUESTS)
    ]
    ids = steps_of(requests)
    wait_until(lambda: ended(line, requests, "draft") > REQUESTS / 5, 60)
    bridge.kill()  # amid settling, as likely as not
    sent = ended(line, requests, "send")
    second = line.start_bridge()
    wait_until(lambda: ended(line, requests, "send") > sent, 60)
    # what was under way still ends; only when the second leads, some ten seconds later, more begins
    wait_until(lambda: line.count(ids, status="processing"), 60)
    worker.kill()
    second.kill()
    assert ended(line, requests, "send") < REQUESTS
    with recovery.of(
        "worker and bridge killed amid requests of three steps, others started",
        at_most="leader lease and rescue, 10 + 3 + 5 s, and the work itself",
        until="all requests completed",
    ):
        line.start_bridge()
        line.start_worker(*ALL, threads=12)
        line.wait_until_final([*requests, *ids], 120)
    assert line.statuses(requests) == Counter(completed=REQUESTS)
    line.assert_sound(ids, PLAN)
    delivered = line.sandbox.delivered()
    assert sorted(delivered) == sorted(f"{request}_send" for request in requests)
    for parent in line.documents(requests):
        assert parent["results"]["progress"]["percentage"] == 100.0
        assert "unsettled" not in parent
    messages = {each["idempotency_key"]: each["message"] for each in outbox(line)}
    assert messages == {
        f"{request}_send": f"Number {number}, of 3" for number, request in enumerate(requests)
    }
