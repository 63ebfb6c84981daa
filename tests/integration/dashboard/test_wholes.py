"""A whole and its parts: a step's place in its request, a batch's progress, commands that help."""

from __future__ import annotations

from datetime import timedelta

from agent.models import step_id
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.integration.dashboard.conftest import Person


def test_a_step_s_page_shows_its_place_in_the_graph(
    operator: Person, repository: MongoContextRepository
) -> None:
    """All steps of its request, itself marked; an item of a batch has no graph."""
    for parent_id, kind in (("req_1", "REQUEST"), ("bat_1", "BATCH")):
        draft, send = step_id(parent_id, "draft"), step_id(parent_id, "send")
        repository.insert_contexts([
            {**a_context(_id=parent_id, kind="parent", service_type=kind, status="processing",
                         fence=1), "total": 2, "steps": ["draft", "send"]},
            a_context(_id=draft, parent_id=parent_id, step="draft"),
            a_context(_id=send, parent_id=parent_id, step="send", status="waiting", after=[draft]),
        ])  # fmt: skip
    text = operator.get("/contexts/req_1_send").text
    assert text.count('class="node ') == 2
    here = text.split('class="here"')
    assert len(here) == 2
    assert here[1].split("</a>")[0].count(">send<") == 1
    assert 'class="node ' not in operator.get("/contexts/bat_1_send").text


def test_a_batch_says_how_fast_it_is_and_when_it_is_through(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Of 600 items 150 in 100 seconds: three in two, through in five minutes."""
    counted = {"total": 600, "processed": 150, "succeeded": 146, "failed": 4, "cancelled": 0,
               "percentage": 25.0}  # fmt: skip
    repository.insert_contexts([{
        **a_context(_id="bat_1", kind="parent", service_type="BATCH", status="processing", fence=1,
                    results={"progress": counted}),
        "total": 600, "started_at": repository.now() - timedelta(seconds=100),
    }])  # fmt: skip
    text = operator.get("/requests/bat_1").text
    assert "450 of its 600 items are not final yet." in text
    assert "1.5 <small>a second" in text
    assert ">in 5 min<" in text
    assert 'width="24.333%" height="12" class="bar completed"' in text
    assert 'x="24.333%" width="0.667%" height="12" class="bar failed"' in text


def test_odd_progress_is_no_mistake_of_ours(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Another program may have counted anything."""
    for number, odd in enumerate(["x", None, [], {"a": 1}, -5, 1e300]):
        counted = dict.fromkeys(("total", "processed", "succeeded", "failed"), odd)
        repository.insert_contexts([
            {**a_context(_id=f"bat_{number}", kind="parent", service_type="BATCH",
                         status="processing", fence=1, results={"progress": counted}),
             "total": odd, "started_at": repository.now()}
        ])  # fmt: skip
        assert operator.get(f"/requests/bat_{number}").status_code == 200, odd


def test_a_page_without_anything_has_a_command_that_helps(operator: Person) -> None:
    """As it is typed, on the overview too."""
    command = (
        "agent submit --service GENERATIVE --body &#39;{&#34;prompt&#34;: &#34;Hello&#34;}&#39;"
    )
    for path in ("", "/contexts"):
        assert command in operator.get(path).text
    assert "agent batch run docs/tutorial/users.csv" in operator.get("/requests?kind=batch").text
    assert "agent schedules add hourly --cron" in operator.get("/schedules").text
