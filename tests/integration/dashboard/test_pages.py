"""The pages over stored contexts: what they show, and what is done through them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis

from agent.intake.schedules import Schedules, read_schedule
from agent.models import step_id
from agent.projections.presence import Presence, Running, WorkerView
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, a_template
from tests.integration.dashboard.conftest import Person

PAGES = ("", "/services", "/workers", "/bridge", "/contexts", "/requests", "/requests?kind=batch",
         "/retries", "/schedules", "/dead", "/audit")  # fmt: skip
BODY = {"template": {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}}
ERROR = {"type": "ServiceUnavailable", "message": "503", "fingerprint": "abc"}


def test_an_empty_system_says_what_to_do_next(operator: Person) -> None:
    """Each page has an answer, and a way on."""
    for path in PAGES:
        reply = operator.get(path)
        assert reply.status_code == 200, path
        assert len(reply.content) < 100_000
        assert 'href="#main"' in reply.text


def test_the_overview_says_in_words_what_is_wrong(
    operator: Person, repository: MongoContextRepository
) -> None:
    """The line on top is what somebody reads at three in the morning."""
    repository.insert_contexts([a_context(service_type="ANALYSIS")])
    repository.pause_service("GENERATIVE", by="breaker", reason="503", until=None)
    text = operator.get().text
    assert "No bridge leads" in text
    assert "GENERATIVE has been paused by breaker for" in text
    assert ": 503; 0 contexts wait." in text
    assert "No worker is alive for ANALYSIS; 1 context waits." in text


def test_a_service_is_paused_with_a_reason_and_resumed(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Who did it and why stands with the pause and in the audit."""
    reply = operator.post("/services/GENERATIVE/pause", reason="a new key", minutes="15")
    assert "GENERATIVE is paused" in reply.text
    pause = repository.service_states()["GENERATIVE"].pause
    assert pause is not None
    assert pause.until is not None
    assert (pause.by, pause.reason) == ("operator", "a new key (operator)")
    assert "a new key (operator)" in operator.get("/services").text
    operator.post("/services/GENERATIVE/resume")
    assert repository.service_states()["GENERATIVE"].pause is None
    entries = repository.page_of_audit(limit=10)
    assert [each["what"] for each in entries] == ["resume service", "pause service"]
    assert entries[1]["why"] == "a new key"
    assert entries[1]["outcome"]["count"] == 1


def test_a_pause_without_a_reason_or_with_no_length_is_refused(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Nothing is changed."""
    refused: tuple[dict[str, str], ...] = (
        {}, {"reason": " "}, {"reason": "x", "minutes": "-1"}, {"reason": "x", "minutes": "0"},
    )  # fmt: skip
    for fields in refused:
        assert operator.post("/services/GENERATIVE/pause", **fields).status_code == 400
    assert repository.service_states() == {}


def test_contexts_are_found_by_every_filter(
    operator: Person, repository: MongoContextRepository
) -> None:
    """And every filter stands in the address."""
    repository.insert_contexts([
        a_context(_id="ctx_wanted", service_type="ANALYSIS", status="failed", error=ERROR,
                  tags={"team": "north"}, created_at=repository.now() - timedelta(minutes=5)),
        a_context(_id="ctx_other", tags={"team": "south"}, template=a_template(id="other")),
    ])  # fmt: skip
    query = "service=analysis&status=failed&tag=team%3Dnorth&template=greeting&user=user%3A42" \
            "&error=ServiceUnavailable&kind=abc&since=1h&until="  # fmt: skip
    text = operator.get(f"/contexts?{query}").text
    assert "ctx_wanted" in text
    assert "ctx_other" not in text
    assert 'value="team=north"' in text
    assert "Nothing matches" in operator.get("/contexts?since=1m").text


def test_an_id_leads_to_its_page(operator: Person, repository: MongoContextRepository) -> None:
    """Of a context, or of a request as a whole; one that there is not says so."""
    repository.insert_contexts([a_context(_id="ctx_1")])
    assert operator.get("/contexts?id=ctx_1").url.path == "/dashboard/contexts/ctx_1"
    assert "There is no context of this id" in operator.get("/contexts?id=ctx_2").text


def test_an_address_that_says_nonsense_is_no_mistake_of_ours(operator: Person) -> None:
    """It is told, on the page that was asked for."""
    for query in ("status=zzz", "since=soon", "cursor=x", "tag=a.b%3Dc", "since=9999d&until=0h"):
        reply = operator.get(f"/contexts?{query}")
        assert reply.status_code in (200, 400), query
        assert "<h1>Contexts</h1>" in reply.text


def test_contexts_are_read_page_by_page(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Each once, the newest first."""
    now = repository.now()
    repository.insert_contexts([
        a_context(_id=f"ctx_{number:03}", created_at=now - timedelta(seconds=number))
        for number in range(70)
    ])  # fmt: skip
    first = operator.get("/contexts").text
    following = first.split('<a href="/dashboard')[-1].split('" rel="next"')[0]
    second = operator.get(following.replace("&amp;", "&")).text
    shown = [f"ctx_{number:03}" for number in range(70)]
    assert [each in first for each in shown] == [number < 50 for number in range(70)]
    assert [each in second for each in shown] == [number >= 50 for number in range(70)]


def test_a_context_shows_why_it_waits_and_each_attempt_as_a_bar(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Waits and calls are told apart."""
    now = repository.now()
    attempts = [
        {"number": number, "outcome": "retry", "error": ERROR, "duration_ms": 1000,
         "started_at": now - timedelta(seconds=60 - 20 * number),
         "finished_at": now - timedelta(seconds=55 - 20 * number)}
        for number in (1, 2)
    ]  # fmt: skip
    repository.insert_contexts([
        a_context(_id="ctx_1", status="scheduled", wait_reason="retry", fence=2, attempt=2,
                  failures=2, created_at=now - timedelta(seconds=60), attempts=attempts,
                  available_at=now + timedelta(minutes=3))
    ])  # fmt: skip
    text = operator.get("/contexts/ctx_1").text
    assert "after failure 2 of 20 at most" in text
    assert text.count('class="bar run retry"') == 2
    assert text.count('class="bar wait ') == 3
    assert 'style="' not in text


@pytest.mark.parametrize(
    ("before", "path", "fields", "after"),
    [
        ("pending", "cancel", {}, {"status": "cancelled"}),
        ("failed", "retry", {"key": "same"}, {"status": "pending", "generation": 1}),
        ("scheduled", "run-now", {}, {"status": "pending"}),
        ("pending", "priority", {"priority": "2"}, {"status": "pending", "priority": 2}),
    ],
)
def test_a_context_is_changed_and_that_is_written_down(
    operator: Person, repository: MongoContextRepository, *, before: str, path: str,
    fields: dict[str, str], after: dict[str, Any],
) -> None:  # fmt: skip
    """Who, what and why are in the audit, which the page shows."""
    repository.insert_contexts([a_context(_id="ctx_1", status=before, fence=1)])
    reply = operator.post(f"/contexts/ctx_1/{path}", reason="asked for by Ann", **fields)
    assert reply.status_code == 200
    found = repository.find_context("ctx_1")
    assert {name: found[name] for name in after} == after
    [entry] = repository.page_of_audit(limit=10)
    assert (entry["who"], entry["on"], entry["why"]) == ("operator", "ctx_1", "asked for by Ann")
    assert "asked for by Ann" in operator.get("/audit").text


def test_a_change_that_is_refused_is_written_down_as_such(
    operator: Person, repository: MongoContextRepository
) -> None:
    """A completed context is not cancelled; the page says so."""
    repository.insert_contexts([a_context(_id="ctx_1", status="completed", fence=1)])
    reply = operator.post("/contexts/ctx_1/cancel")
    assert reply.status_code == 409
    [entry] = repository.page_of_audit(limit=10)
    assert entry["outcome"]["count"] == 0
    assert "only what is not final is cancelled" in entry["outcome"]["error"]


def test_a_request_of_several_steps_is_shown_as_a_graph(
    operator: Person, repository: MongoContextRepository
) -> None:
    """A box for each step, a line for each that comes after another; a batch shows its failures."""
    progress = {"total": 2, "processed": 1, "succeeded": 0, "failed": 1, "cancelled": 0,
                "percentage": 50.0}  # fmt: skip
    for parent_id, kind in (("req_1", "REQUEST"), ("bat_1", "BATCH")):
        parent = a_context(_id=parent_id, kind="parent", service_type=kind, status="processing",
                           fence=1, results={"progress": progress})  # fmt: skip
        draft, send = step_id(parent_id, "draft"), step_id(parent_id, "send")
        repository.insert_contexts([
            {**parent, "total": 2, "steps": ["draft", "send"]},
            a_context(_id=draft, parent_id=parent_id, step="draft", status="failed", fence=1,
                      error=ERROR),
            a_context(_id=send, parent_id=parent_id, step="send", status="waiting", after=[draft]),
        ])  # fmt: skip
    text = operator.get("/contexts/req_1").text
    assert text.count('class="node ') == 2
    assert text.count('class="line"') == 1
    assert "1 <small>of 2" in text
    listed = operator.get("/requests").text
    assert "req_1" in listed
    assert "bat_1" not in listed
    assert "1 of 2" in listed
    assert "bat_1_draft" in operator.get("/requests/bat_1").text
    assert "bat_1" in operator.get("/requests?kind=batch").text


def test_workers_are_shown_with_what_they_run(
    operator: Person, client: redis.Redis, settings: Settings
) -> None:
    """Also one that has only just fallen silent would be."""
    Presence(client, settings.namespace).beat(
        WorkerView("w:1", ("GENERATIVE",), 8, 1, "host-a", 7, "1", False,
                   "2030-01-01T00:00:00+00:00", [Running("ctx_1", "GENERATIVE", 3.0)])
    )  # fmt: skip
    text = operator.get("/workers").text
    assert "host-a" in text
    assert 'href="/dashboard/contexts/ctx_1"' in text


def test_a_schedule_is_paused_resumed_and_run(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Its next times are shown; a run brings a context."""
    Schedules.of(repository).add(
        read_schedule({"name": "nightly", "cron": "0 3 * * *", "request": BODY})
    )
    assert operator.get("/schedules").text.count("<time datetime=") >= 3
    operator.post("/schedules/nightly/pause")
    assert "paused" in operator.get("/schedules").text
    operator.post("/schedules/nightly/resume")
    assert "nightly was run once" in operator.post("/schedules/nightly/run").text
    [context] = repository.list_contexts()
    assert context["source"] == "schedule"
    assert operator.post("/schedules/nix/run").status_code == 404


def test_the_audit_is_read_page_by_page_and_by_name(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Each entry once, the newest first."""
    repository.insert_contexts([a_context(_id="ctx_1")])
    for number in (1, 2, 3):
        operator.post("/contexts/ctx_1/priority", priority=str(number))
    first = repository.page_of_audit(limit=2)
    after = (first[-1]["at"], first[-1]["_id"])
    rest = repository.page_of_audit(limit=2, after=after)
    assert [each["what"] for each in [*first, *rest]] == ["priority 3", "priority 2", "priority 1"]
    assert repository.page_of_audit(limit=2, who="nobody") == []
    assert "Nobody" not in operator.get("/audit?who=operator").text
    assert "Nothing by that name" in operator.get("/audit?who=nobody").text
