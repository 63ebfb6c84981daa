"""A press for very many: in pieces, as far as it is shown; whoever dies in one leaves no lie."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from typing import Any

import pytest
import redis

from agent.dashboard.deeds import doer as deeds
from agent.errors import StoreUnavailable
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context
from tests.integration.dashboard.conftest import Person
from tests.integration.dashboard.test_retries import Fill, fill, statuses

__all__ = ["fill"]

IDS = ["ctx_1", "ctx_2", "ctx_3"]
DEED = re.compile(r"/(?:retries|dead)/deeds/aud_\w+")
PART = {"HX-Request": "true"}


@pytest.fixture
def one_a_press(monkeypatch: pytest.MonkeyPatch) -> None:
    """A press does one context and no more."""
    monkeypatch.setattr(deeds, "PIECE", 1)
    monkeypatch.setattr(deeds, "BUDGET_SECONDS", 0.0)


def press(person: Person, what: str = "run-now") -> Any:
    return person.post("/retries/change", what=what, count="3", minutes="5", ids=json.dumps(IDS))


def outcome(repository: MongoContextRepository) -> Any:
    return repository.page_of_audit(limit=5)[0]["outcome"]


@pytest.mark.usefixtures("one_a_press")
def test_it_goes_on_press_by_press_and_tells_how_far_it_is(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """The audit says that it is not finished until it is; then how many there were in truth."""
    fill(*IDS)
    reply = press(operator)
    path = DEED.search(reply.text)
    assert path is not None
    assert '<progress class="big" value="1" max="3"' in reply.text
    assert outcome(repository) is None
    assert "not finished" in operator.get("/audit").text
    assert "1 of 3 are done. <a" in operator.get("/retries").text
    assert "<b>2</b> of 3" in operator.post(path[0]).text
    repository.contexts.update_one({"_id": "ctx_3"}, {"$set": {"status": "processing"}})
    over = operator.post(path[0])
    assert over.url.path == "/dashboard/retries"
    assert "2 are tried again at once. 1 had gone on meanwhile." in over.text
    assert "Undo: wait again" in over.text
    assert outcome(repository)["count"] == 2
    assert "2 are tried again" in operator.get(path[0]).text, "whoever comes later is told, too"


@pytest.mark.usefixtures("one_a_press")
def test_a_page_goes_on_by_itself(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """It sends the form again as a part of itself, and goes to the list in the end."""
    fill(*IDS)
    path = DEED.search(press(operator).text)
    assert path is not None
    part = operator.post(path[0], headers=PART)
    assert 'hx-trigger="load delay:100ms"' in part.text
    assert "<b>2</b> of 3" in part.text
    last = operator.post(path[0], headers=PART)
    assert last.headers["HX-Redirect"] == "/dashboard/retries"
    assert "3 are tried again at once." in operator.get("/retries").text


@pytest.mark.usefixtures("one_a_press")
def test_it_is_stopped_and_what_was_done_can_be_taken_back(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """The rest stays as it is, and the audit has the true count."""
    fill(*IDS)
    path = DEED.search(press(operator, "cancel").text)
    assert path is not None
    assert "still going on" in operator.post(
        "/retries/undo", deed=path[0].rpartition("/")[2]
    ).text  # fmt: skip
    reply = operator.post(path[0], what="stop")
    assert "1 is cancelled. Stopped: 2 were left as they are." in reply.text
    assert outcome(repository)["count"] == 1
    assert sorted(statuses(repository, *IDS)) == ["cancelled", "scheduled", "scheduled"]
    operator.post(path[0])
    assert sorted(statuses(repository, *IDS)) == ["cancelled", "scheduled", "scheduled"]
    assert "1 begins anew" in operator.post(
        "/retries/undo", deed=path[0].rpartition("/")[2]
    ).text  # fmt: skip


@pytest.mark.usefixtures("one_a_press")
def test_a_web_that_dies_in_a_piece_leaves_no_lie(
    operator: Person, repository: MongoContextRepository, fill: Fill, client: redis.Redis,
    settings: Settings,
) -> None:  # fmt: skip
    """It had changed one and not counted it: of that one nothing is claimed."""
    fill(*IDS)
    path = DEED.search(press(operator).text)
    assert path is not None
    key = f"{settings.namespace}:deed:{path[0].rpartition('/')[2]}"
    client.hset(key, mapping={"open": 1, "opened_at": time.time()})
    repository.run_chosen_now([IDS[1]])
    client.set(f"{key}:held", "the dead", px=300)
    waits = operator.post(path[0], headers=PART).text
    assert "<b>1</b> of 3" in waits, "it might still live"
    assert "Another process is at it" in waits
    assert 'hx-trigger="load delay:3s"' in waits
    client.delete(f"{key}:held")
    operator.post(path[0])
    over = operator.post(path[0])
    assert "2 are tried again at once. Of 1 more it is not known" in over.text
    assert (outcome(repository)["count"], outcome(repository)["unsure"]) == (2, 1)
    assert "≥ 2" in operator.get("/audit").text
    assert statuses(repository, *IDS) == ["pending"] * 3


@pytest.mark.usefixtures("one_a_press")
def test_a_piece_that_was_left_long_ago_is_not_done_again(
    operator: Person, repository: MongoContextRepository, fill: Fill, client: redis.Redis,
    settings: Settings,
) -> None:  # fmt: skip
    """What was let run then may have failed since, and waits for a reason of its own."""
    fill(*IDS)
    path = DEED.search(press(operator).text)
    assert path is not None
    key = f"{settings.namespace}:deed:{path[0].rpartition('/')[2]}"
    client.hset(key, mapping={"open": 1, "opened_at": time.time() - 600})
    over = operator.post(path[0])
    assert "2 are tried again at once. Of 1 more it is not known" in over.text
    assert statuses(repository, *IDS) == ["pending", "scheduled", "pending"]


@pytest.mark.usefixtures("one_a_press")
def test_while_mongodb_is_away_it_waits(
    operator: Person, repository: MongoContextRepository, fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The page says so and tries again; nothing is lost."""
    fill(*IDS)
    path = DEED.search(press(operator).text)
    assert path is not None

    def away(*_: Any) -> Any:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "run_chosen_now", away)
        part = operator.post(path[0], headers=PART)
        assert part.status_code == 503
        assert "MongoDB does not answer; it is tried again." in part.text
        assert operator.post(path[0]).status_code == 503
    operator.post(path[0])
    operator.post(path[0])
    assert statuses(repository, *IDS) == ["pending"] * 3


@pytest.mark.usefixtures("one_a_press")
def test_what_redis_has_lost_is_told(
    operator: Person, fill: Fill, client: redis.Redis, settings: Settings
) -> None:
    """What was done is done, and the audit does not say more."""
    fill(*IDS)
    path = DEED.search(press(operator).text)
    assert path is not None
    client.delete(*client.scan_iter(f"{settings.namespace}:deed*"))
    for reply in (operator.get(path[0]), operator.post(path[0])):
        assert "is not known any more" in reply.text
    assert "not finished" in operator.get("/audit").text


@pytest.mark.usefixtures("one_a_press")
def test_hostile_text_is_text_while_it_goes_on(operator: Person, fill: Fill) -> None:
    """On its own page and in the lines of what was done lately."""
    hostile = '"><script>alert(1)</script>\u202e{{7*7}}'
    fill(hostile, "ctx_2")
    ids = json.dumps([hostile, "ctx_2"])
    page = operator.post("/retries/change", what="cancel", count="2", ids=ids)
    for text in (page.text, operator.get("/retries").text, operator.get("/dead").text):
        assert "<script>alert" not in text
        assert "{{7*7}}" in text


def failures(repository: MongoContextRepository, count: int) -> None:
    error = {"type": "ServiceUnavailable", "message": "503", "fingerprint": "abc"}
    repository.insert_contexts([
        a_context(_id=f"ctx_{number}", status="failed", fence=1, error=error,
                  completed_at=repository.now())
        for number in range(count)
    ])  # fmt: skip


HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')


def question(page: Any) -> dict[str, str]:
    """What the form of a page sends beside what people fill in."""
    fields = dict(HIDDEN.findall(page.text.split("<main")[1]))
    return {name: value for name, value in fields.items() if name != "csrf"}


def test_a_kind_begins_anew_at_a_rate(operator: Person, repository: MongoContextRepository) -> None:
    """The question first says how long that takes; each waits for its turn and can say so."""
    failures(repository, 4)
    page = operator.get("/dead/retry?service=GENERATIVE&kind=abc")
    asked = operator.post("/dead/retry", **question(page), rate="2", reason="it is mended")
    assert asked.url.path == "/dashboard/dead/retry"
    assert "4 at 2 a minute: about 90 s." in asked.text
    assert 'value="it is mended"' in asked.text
    assert statuses(repository, "ctx_0") == ["failed"]
    reply = operator.post("/dead/retry", **question(asked), rate="2", reason="it is mended")
    assert "4 begin anew, 2 a minute: about 90 s." in reply.text
    found = [repository.find_context(f"ctx_{number}") for number in range(4)]
    due = sorted(each["available_at"] for each in found)
    gaps = [round((b - a).total_seconds()) for a, b in pairwise(due)]
    assert gaps == [30, 30, 30]
    assert sorted(each["status"] for each in found) == ["pending", *["scheduled"] * 3]
    last = max(found, key=lambda each: each["available_at"])
    text = operator.get(f"/contexts/{last['_id']}").text
    assert "was begun anew, and waits until" in text
    [entry] = repository.page_of_audit(limit=5)
    assert (entry["on"], entry["outcome"]["count"]) == ("GENERATIVE, kind abc, 2 a minute", 4)


@pytest.mark.usefixtures("one_a_press")
def test_the_turns_go_on_from_press_to_press(
    operator: Person, repository: MongoContextRepository
) -> None:
    """Pieces do not begin at the same time."""
    failures(repository, 3)
    page = operator.get("/dead/retry?kind=abc&rate=1")
    reply = operator.post("/dead/retry", **question(page), rate="1", reason="x")
    while (path := DEED.search(str(reply.url))) is not None:
        reply = operator.post(path[0])
    assert "3 begin anew" in reply.text
    assert reply.url.path == "/dashboard/dead"
    due = sorted(repository.find_context(f"ctx_{n}")["available_at"] for n in range(3))
    assert [round((each - due[0]).total_seconds() / 60) for each in due] == [0, 1, 2]


@pytest.mark.parametrize("rate", ["0", "-1", "many", "100001", "1e3"])
def test_a_rate_that_cannot_be_meant_changes_nothing(
    operator: Person, repository: MongoContextRepository, rate: str
) -> None:
    """It is refused with a word."""
    failures(repository, 1)
    assert operator.post("/dead/retry", kind="abc", rate=rate, reason="x").status_code == 400
    assert statuses(repository, "ctx_0") == ["failed"]
    assert repository.page_of_audit(limit=5) == []


def test_without_redis_dead_letters_begin_anew_all_the_same(
    operator: Person, repository: MongoContextRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once; only the way back and the pieces need it."""
    failures(repository, 3)

    def away(*_: Any) -> Any:
        raise deeds.BrokerUnavailable("away")

    monkeypatch.setattr(deeds.Deeds, "begin", away)
    monkeypatch.setattr(deeds.Deeds, "newest", away)
    assert "3 begin anew." in operator.post("/dead/retry", kind="abc", reason="x").text
    assert outcome(repository)["count"] == 3


def test_without_redis_no_retry_is_changed(
    operator: Person, repository: MongoContextRepository, fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It may have taken the deed all the same: somebody who went on with that would do it twice."""
    fill(*IDS)
    begin = deeds.Deeds.begin

    def lost(*args: Any) -> None:
        begin(*args)
        raise deeds.BrokerUnavailable("the reply was lost")

    with monkeypatch.context() as patch:
        patch.setattr(deeds.Deeds, "begin", lost)
        assert press(operator).status_code == 503
    assert outcome(repository)["count"] == 0
    path = DEED.search(operator.get("/retries").text)
    assert path is not None, "Redis has it"
    operator.post(path[0])
    assert statuses(repository, *IDS) == ["scheduled"] * 3
    assert DEED.search(operator.get("/retries").text) is None
