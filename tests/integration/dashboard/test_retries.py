"""The page of retries: read from Redis alone, and what is done to one, to some, to all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

import pytest
import redis
from bson import ObjectId
from pymongo.monitoring import CommandListener, CommandStartedEvent

from agent.api.app import create_app
from agent.dashboard.routes import retry_acts
from agent.projections.entries import retry_entry
from agent.projections.views import View
from agent.settings import Settings
from agent.store.clock import ServerClock
from agent.store.connection import connect
from agent.store.ejson import id_word
from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, a_template
from tests.integration.dashboard.conftest import HOST, Person, TestClient
from tests.integration.dashboard.test_hostile_text import FILLED_IN

ODD = ObjectId("65a1b2c3d4e5f60718293a4b")
FAILURE = {"type": "ServiceUnavailable", "message": "answered 503", "fingerprint": "k1"}
Fill = Callable[..., None]


@pytest.fixture
def fill(repository: MongoContextRepository, client: redis.Redis, settings: Settings) -> Fill:
    """Stores contexts that are tried again in an hour, and has the view hold them."""

    def fill(*ids: Any, **fields: Any) -> None:
        now = repository.now()
        attempts = [{"number": 1, "outcome": "retry", "finished_at": now, "error": FAILURE}]
        waiting = {"status": "scheduled", "wait_reason": "retry", "fence": 1, "attempt": 1,
                   "failures": 1, "available_at": now + timedelta(hours=1),
                   "attempts": attempts}  # fmt: skip
        documents = [{**a_context(**{**waiting, **fields}), "_id": each} for each in ids]
        repository.insert_contexts(documents)
        view = View(client, settings.namespace, "retries")
        stored = repository.to_be_tried_again(100)
        entries = [retry_entry(each, id_word(each["_id"])) for each in stored]
        view.correct(view.snapshot(), [each for each in entries if each is not None], 0)

    return fill


class Log(CommandListener):
    """The commands that MongoDB was sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


@pytest.fixture
def logged(guarded: Settings, client: redis.Redis) -> Iterator[tuple[Person, Log]]:
    """An operator of a dashboard whose commands to MongoDB are logged."""
    log, clock = Log(), ServerClock()
    with connect(guarded, clock, cast(Any, log)) as mongodb:
        repository = MongoContextRepository(mongodb, clock, guarded)
        app = create_app(guarded, repository=repository, client=client)
        with TestClient(app, base_url=HOST) as running:
            person = Person(running)
            assert person.sign_in("operator").status_code == 200
            yield person, log


def statuses(repository: MongoContextRepository, *ids: Any) -> list[str]:
    return [str(repository.find_status(each)) for each in ids]


def test_the_list_its_order_and_its_filters_ask_mongodb_nothing(
    logged: tuple[Person, Log], fill: Fill
) -> None:
    """They come from Redis alone; so does the question before a change."""
    person, log = logged
    fill("ctx_a", "ctx_b")
    fill("ctx_c", service_type="ANALYSIS")
    log.names.clear()
    listed = person.get("/retries?sort=service").text
    assert listed.index("ctx_c") < listed.index("ctx_a") < listed.index("ctx_b")
    assert "1 of 20" in listed
    found = person.get("/retries?service=ANALYSIS&error=ServiceUnavailable&kind=k1").text
    assert "ctx_c" in found
    assert "ctx_a" not in found
    assert "<b>3</b> contexts" in person.get("/retries/change?what=run-now&scope=all").text
    assert log.names == []
    person.get("/contexts")
    assert log.names != [], "the log sees what is asked"


@pytest.mark.parametrize("context_id", ["ctx_1", ODD], ids=["string", "ObjectId"])
def test_one_is_retried_now_and_leaves_the_list(
    operator: Person, repository: MongoContextRepository, fill: Fill, context_id: Any
) -> None:
    """Whatever its id is; who did it stands in the audit."""
    fill(context_id, "ctx_other")
    word = id_word(context_id)
    question = operator.get("/retries/change", params={"what": "run-now", "id": word}).text
    assert "<b>1</b> context is tried again at once" in question
    reply = operator.post("/retries/change", what="run-now", count="1", ids=json.dumps([word]))
    assert "1 is tried again at once." in reply.text
    assert "1 is to be tried again" in reply.text
    assert statuses(repository, context_id, "ctx_other") == ["pending", "scheduled"]
    [entry] = repository.page_of_audit(limit=5)
    assert (entry["what"], entry["on"]) == ("retry now", word)
    assert entry["outcome"]["count"] == 1


def test_the_selected_are_postponed(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """The list shows their new time at once; the others keep theirs."""
    fill("ctx_1", "ctx_2", "ctx_3")
    question = operator.get("/retries/change?what=postpone&id=ctx_1&id=ctx_2").text
    assert "<b>2</b> contexts" in question
    operator.post("/retries/change", what="postpone", count="2", minutes="600",
                  ids='["ctx_1", "ctx_2"]')  # fmt: skip
    left = [repository.find_context(f"ctx_{n}")["available_at"] - repository.now()
            for n in (1, 2, 3)]  # fmt: skip
    assert [each > timedelta(hours=9) for each in left] == [True, True, False]
    listed = operator.get("/retries").text
    assert listed.count("in 10 h") == 2
    assert listed.rindex("ctx_3") < listed.rindex("ctx_1")


def test_all_that_match_are_cancelled_after_a_question(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """What is of another service stays; the reason is needed, and stands in the audit."""
    fill("ctx_1", "ctx_2")
    fill("ctx_3", service_type="ANALYSIS")
    form = {"what": "cancel", "scope": "all", "service": "GENERATIVE", "count": "2"}
    page = operator.get("/retries/change", params=form).text
    assert "<b>2</b> contexts, all that match service <code>GENERATIVE</code>" in page
    assert operator.post("/retries/change", **form).status_code == 400
    reply = operator.post("/retries/change", **form, reason="a bad release")
    assert "2 are cancelled." in reply.text
    assert statuses(repository, "ctx_1", "ctx_2", "ctx_3") == [
        "cancelled", "cancelled", "scheduled",
    ]  # fmt: skip
    [entry] = repository.page_of_audit(limit=5)
    assert (entry["on"], entry["why"], entry["outcome"]["count"]) == (
        "all retries with service GENERATIVE", "a bad release", 2,
    )  # fmt: skip


def test_no_more_are_changed_than_the_question_said(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """What came to the list meanwhile nobody has thought about."""
    fill("ctx_1")
    fill("ctx_2", available_at=repository.now() + timedelta(hours=2))
    reply = operator.post("/retries/change", what="run-now", scope="all", count="1", reason="x")
    assert "1 more match" in reply.text
    assert statuses(repository, "ctx_1", "ctx_2") == ["pending", "scheduled"]


def test_many_are_changed_in_parts(
    operator: Person, repository: MongoContextRepository, fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One press changes so many at most, and says how many are left."""
    monkeypatch.setattr(retry_acts, "MOST_AT_ONCE", 2)
    fill("ctx_1", "ctx_2", "ctx_3")
    form = {"what": "run-now", "scope": "all", "count": "3", "reason": "x"}
    assert "2 are changed at once" in operator.get("/retries/change", params=form).text
    assert "1 more match" in operator.post("/retries/change", **form).text
    assert sorted(statuses(repository, "ctx_1", "ctx_2", "ctx_3")) == [
        "pending", "pending", "scheduled",
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["run-now", "postpone", "cancel"])
def test_what_has_gone_on_meanwhile_is_left_as_it_is(
    operator: Person, repository: MongoContextRepository, fill: Fill, what: str
) -> None:
    """A call that has begun is not cut off, and it is told."""
    fill("ctx_1", "ctx_2")
    repository.contexts.update_one({"_id": "ctx_1"}, {"$set": {"status": "processing"}})
    reply = operator.post("/retries/change", what=what, count="3", minutes="5",
                          ids='["ctx_1", "ctx_2", "gone"]')  # fmt: skip
    assert "2 had gone on meanwhile" in reply.text
    assert repository.find_status("ctx_1") == "processing"
    [entry] = repository.page_of_audit(limit=5)
    assert entry["outcome"]["count"] == 1


def test_a_deadline_is_not_passed_over(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """What has to begin before then is not postponed."""
    fill("ctx_1", deadline_at=repository.now() + timedelta(hours=2))
    reply = operator.post("/retries/change", what="postpone", count="1", minutes="600",
                          ids='["ctx_1"]')  # fmt: skip
    assert "must have begun before then" in reply.text


def test_hostile_text_is_text_here_too(operator: Person, fill: Fill) -> None:
    """In an id, a template and a tag, on the list and in the question."""
    hostile = '"><script>alert(1)</script>\u202e{{7*7}}'
    fill(hostile, tags={"team": hostile}, template=a_template(id=hostile))
    for page in (operator.get("/retries").text,
                 operator.get("/retries", params={"tag": f"team={hostile}"}).text,
                 operator.get("/retries/change", params={"what": "cancel", "id": hostile}).text,
                 operator.get("/retries/change", params={"what": "cancel", "scope": "all",
                                                         "template": hostile}).text):  # fmt: skip
        assert "<script>alert" not in page
        assert "{{7*7}}" in page
        assert "\u202e" not in FILLED_IN.sub("", page)
    reply = operator.post("/retries/change", what="cancel", count="1", ids=json.dumps([hostile]))
    assert "1 is cancelled." in reply.text


BAD: list[Mapping[str, str]] = [
    {"what": "explode", "count": "1", "ids": '["ctx_1"]'},
    {"what": "run-now", "count": "1"},
    {"what": "run-now", "count": "1", "ids": '[{"$ne": 1}]'},
    {"what": "run-now", "count": "1", "ids": json.dumps([f"c{n}" for n in range(51)])},
    {"what": "run-now", "ids": '["ctx_1"]'},
    {"what": "postpone", "count": "1", "ids": '["ctx_1"]'},
    {"what": "postpone", "count": "1", "ids": '["ctx_1"]', "minutes": "-5"},
]


def test_a_form_that_cannot_be_meant_changes_nothing(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """Each is refused with a word, and nothing stands in the audit."""
    fill("ctx_1")
    refused = [operator.post("/retries/change", **fields).status_code for fields in BAD]
    assert refused == [400] * len(BAD)
    assert statuses(repository, "ctx_1") == ["scheduled"]
    assert repository.page_of_audit(limit=5) == []


def test_a_viewer_sees_the_list_and_changes_nothing(
    viewer: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """There is no box to tick, and the change itself is refused too."""
    fill("ctx_1")
    page = viewer.get("/retries").text
    assert "ctx_1" in page
    assert 'type="checkbox"' not in page
    assert viewer.post("/retries/change", what="cancel", count="1",
                       ids='["ctx_1"]').status_code == 403  # fmt: skip
    assert statuses(repository, "ctx_1") == ["scheduled"]


def test_a_change_needs_the_token_of_the_page(
    operator: Person, repository: MongoContextRepository, fill: Fill
) -> None:
    """Another site cannot press the button."""
    fill("ctx_1")
    reply = operator.post("/retries/change", csrf="x", what="cancel", count="1", ids='["ctx_1"]')
    assert reply.status_code == 403
    assert statuses(repository, "ctx_1") == ["scheduled"]
