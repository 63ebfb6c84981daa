"""What was done to many is taken back: for ten minutes, by any operator, and only where nothing has
gone on since."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import redis

from agent.dashboard.deeds.doer import TOO_LATE
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.dashboard.conftest import Meet, Person
from tests.integration.dashboard.test_retries import Fill, fill, statuses

__all__ = ["fill"]

OFFERED = re.compile(r'name="deed" value="(aud_\w+)"')
IDS = '["ctx_1", "ctx_2"]'
LEASE = timedelta(seconds=30)


def offered(reply: Any) -> str:
    """The deed that a page offers to take back."""
    found = OFFERED.search(reply.text)
    assert found is not None
    return found[1]


def change(person: Person, what: str) -> Any:
    return person.post("/retries/change", what=what, count="2", minutes="600", ids=IDS,
                       reason="a try")  # fmt: skip


def times(repository: MongoContextRepository) -> list[Any]:
    return [repository.find_context(each)["available_at"] for each in ("ctx_1", "ctx_2")]


@pytest.mark.parametrize(
    ("what", "became"),
    [
        ("run-now", ("pending", "Undo: wait again", "2 wait again until the time they had.")),
        ("postpone", ("scheduled", "Undo: back to the earlier time",
                      "2 have their earlier time back.")),
        ("cancel", ("cancelled", "Undo: begin anew at the time they had",
                    "2 begin anew at the time they had, their failures counted from 0.")),
    ],
)  # fmt: skip
def test_what_was_done_is_taken_back(
    operator: Person, repository: MongoContextRepository, fill: Fill, what: str,
    became: tuple[str, str, str],
) -> None:  # fmt: skip
    """The message on top offers it, in a form; it is a deed of its own in the audit."""
    fill("ctx_1", "ctx_2")
    before, (status, says, told) = times(repository), became
    reply = change(operator, what)
    assert statuses(repository, "ctx_1", "ctx_2") == [status] * 2
    message = reply.text.split('role="status">')[1].split("</p>")[0]
    assert f'form="undo">{says}</button>' in message
    undone = operator.post("/retries/undo", deed=offered(reply))
    assert told in undone.text
    assert OFFERED.search(undone.text) is None, "and nothing more to take back"
    assert statuses(repository, "ctx_1", "ctx_2") == ["scheduled"] * 2
    assert times(repository) == before
    undo, done = repository.page_of_audit(limit=5)
    assert (undo["what"], undo["on"]) == (f"undo {done['what']}", done["on"])
    assert undo["why"].startswith("takes back what operator did at ")
    assert undo["outcome"]["count"] == 2


def test_a_worker_that_has_begun_keeps_it(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """It is left alone and counted."""
    fill("ctx_1", "ctx_2")
    reply = change(operator, "run-now")
    [claim] = repository.claim("GENERATIVE", calls=1, lease=LEASE, owner="b")
    found = repository.find_context(claim.context_id)
    undone = operator.post("/retries/undo", deed=offered(reply))
    assert "1 waits again until the time it had. 1 had gone on meanwhile." in undone.text
    assert repository.find_context(claim.context_id) == found


def test_another_operator_takes_it_back_once(
    meet: Meet, operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """It stands on the list for them, too; the second one is told, and a viewer may not."""
    fill("ctx_1", "ctx_2")
    change(operator, "postpone")
    other, viewer = meet(), meet()
    other.sign_in("admin")
    viewer.sign_in("viewer")
    listed = other.get("/retries")
    assert "operator: postpone, 2 retries: ctx_1, ctx_2: 2." in " ".join(listed.text.split())
    deed = offered(listed)
    assert OFFERED.search(viewer.get("/retries").text) is None
    assert viewer.post("/retries/undo", deed=deed).status_code == 403
    assert other.post("/retries/undo", deed=deed, csrf="x").status_code == 403
    assert "2 have their earlier time back." in other.post("/retries/undo", deed=deed).text
    again = operator.post("/retries/undo", deed=deed)
    assert "That was taken back already." in again.text
    assert [each["who"] for each in repository.page_of_audit(limit=5)] == ["admin", "operator"]


def test_after_ten_minutes_it_is_too_late(
    operator: Person, repository: MongoContextRepository, fill: Fill, client: redis.Redis,
    settings: Settings,
) -> None:  # fmt: skip
    """Then Redis has let go of it, and nothing is changed."""
    fill("ctx_1", "ctx_2")
    deed = offered(change(operator, "cancel"))
    keys = list(client.scan_iter(f"{settings.namespace}:deed:{deed}*"))
    assert {0 < client.ttl(key) <= 600 for key in keys} == {True}
    client.delete(*keys)
    for word in (deed, "aud_1", "*", ""):
        reply = operator.post("/retries/undo", deed=word)
        assert TOO_LATE in reply.text
    assert OFFERED.search(operator.get("/retries").text) is None
    assert statuses(repository, "ctx_1", "ctx_2") == ["cancelled"] * 2
    assert len(repository.page_of_audit(limit=5)) == 1


def test_where_nothing_was_changed_nothing_is_taken_back(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """There is no button then."""
    fill("ctx_1", "ctx_2")
    repository.contexts.update_many({}, {"$set": {"status": "completed"}})
    assert OFFERED.search(change(operator, "run-now").text) is None
