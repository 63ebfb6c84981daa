"""What failed, by kind: of all services, and of one batch."""

from __future__ import annotations

from datetime import timedelta

from agent.models import step_id
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.integration.dashboard.conftest import Person

ERROR = {"type": "ServiceUnavailable", "message": "503", "fingerprint": "abc"}


def test_all_of_a_kind_begin_anew_after_a_question(
    operator: Person, repository: MongoContextRepository
) -> None:
    """The question says how many; what is of another kind stays as it is."""
    now = repository.now()
    repository.insert_contexts([
        a_context(_id=f"ctx_{number}", status="failed", fence=1, completed_at=now,
                  error={**ERROR, "fingerprint": "abc" if number else "other"})
        for number in range(4)
    ])  # fmt: skip
    assert "ServiceUnavailable" in operator.get("/dead").text
    page = operator.get("/dead/retry?service=GENERATIVE&kind=abc").text
    assert "<b>3</b> contexts" in page
    until = page.split('name="until" value="')[1].split('"')[0]
    reply = operator.post("/dead/retry", service="GENERATIVE", kind="abc", until=until,
                          reason="the service is well")  # fmt: skip
    assert "3 begin anew" in reply.text
    assert [repository.find_status(f"ctx_{number}") for number in range(4)] == [
        "failed", "pending", "pending", "pending",
    ]  # fmt: skip
    [entry] = repository.page_of_audit(limit=10)
    assert entry["outcome"]["count"] == 3


def test_all_that_failed_begins_anew_after_a_question(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Of every kind and service that matches; without a word that all is meant nothing is."""
    now = repository.now()
    repository.insert_contexts([
        a_context(_id=f"ctx_{number}", status="failed", fence=1, error=ERROR,
                  service_type=service, completed_at=now - timedelta(hours=number))
        for number, service in enumerate(("GENERATIVE", "ANALYSIS", "ANALYSIS"))
    ])  # fmt: skip
    assert operator.get("/dead/retry").status_code == 400
    assert operator.post("/dead/retry", reason="x").status_code == 400
    page = operator.get("/dead/retry?scope=all&since=90m").text
    assert "<b>2</b> contexts of any service, since" in page
    since, until = (page.split(f'name="{name}" value="')[1].split('"')[0]
                    for name in ("since", "until"))  # fmt: skip
    reply = operator.post("/dead/retry", scope="all", since=since, until=until,
                          reason="the network is back")  # fmt: skip
    assert "2 begin anew" in reply.text
    assert [repository.find_status(f"ctx_{n}") for n in range(3)] == [
        "pending", "pending", "failed",
    ]  # fmt: skip
    [entry] = repository.page_of_audit(limit=10)
    assert entry["what"] == "retry all that failed"


def test_a_batch_shows_its_failures_by_kind_and_its_results(
    operator: Person, repository: MongoContextRepository
) -> None:
    """The most frequent first, with an example; the results are a download."""
    repository.insert_contexts([
        {**a_context(_id="bat_1", kind="parent", service_type="BATCH", status="processing",
                     fence=1), "total": 3},
        *(a_context(_id=step_id("bat_1", f"{row:07d}"), parent_id="bat_1", step=f"{row:07d}",
                    status="failed", fence=1, completed_at=repository.now(),
                    error={**ERROR, "type": kind, "fingerprint": kind})
          for row, kind in enumerate(("Rare", "Frequent", "Frequent"), 1)),
        a_context(_id="ctx_alone", status="failed", fence=1, error=ERROR),
    ])  # fmt: skip
    text = operator.get("/requests/bat_1").text
    kinds = text.split("What failed, by kind")[1].split("</table>")[0]
    assert kinds.index("<b>Frequent</b>") < kinds.index("<b>Rare</b>")
    assert '<td class="n big">2</td>' in kinds
    assert "ServiceUnavailable" not in kinds
    reply = operator.get("/requests/bat_1?format=csv")
    assert reply.headers["content-disposition"] == 'attachment; filename="results.csv"'
    assert reply.text.count("Frequent") == 2
    assert operator.get("/requests/bat_1?format=xml").status_code == 400
    assert operator.get("/requests/ctx_alone?format=csv").status_code == 404
