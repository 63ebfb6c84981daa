"""The API of a running `web`, as programs use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from agent.models import Document
from tests.acceptance.web import BODY, Web, emptied, own_place, running_web, secret_of
from tests.factories import LONG_AGO, a_context
from tests.faults.proxy import Proxy
from tests.waiting import wait_until

JSON = {"Content-Type": "application/json"}
POLLS = 60


@pytest.fixture(scope="module")
def environment(
    mongodb_uri: str, redis_url: str, mongodb_client: MongoClient[Document]
) -> Iterator[dict[str, str]]:
    """A place for all of these tests, each of which begins with nothing in it."""
    with own_place(mongodb_uri, redis_url, mongodb_client) as place:
        yield place


@pytest.fixture(scope="module")
def web(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Started once for all that leave it as it was."""
    with running_web(environment, tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def database(
    environment: dict[str, str], mongodb_client: MongoClient[Document]
) -> Database[Document]:
    """What `web` keeps, emptied."""
    return emptied(mongodb_client, environment)


@pytest.fixture
def boss(web: Web, database: Database[Document]) -> Iterator[httpx.Client]:
    """A key that may do everything; there is nothing yet."""
    with web.client() as client:
        yield client


def problem(reply: httpx.Response) -> tuple[int, str]:
    """What a reply tells of a problem."""
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    assert reply.json()["status"] == reply.status_code
    return reply.status_code, reply.json()["type"].removeprefix("/problems/")


def submit(client: httpx.Client, **more: Any) -> str:
    reply = client.post("/v1/requests", json={**BODY, **more})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def complete(database: Database[Document], context_id: str, **results: Any) -> None:
    """As a worker does in the end."""
    database["contexts"].update_one(
        {"_id": context_id},
        {"$set": {"status": "completed", "results": results, "completed_at": LONG_AGO}},
    )


def test_a_request_is_stored_and_told(boss: httpx.Client, database: Database[Document]) -> None:
    """Where to look for it stands in the answer; in the end, so does what it brought."""
    reply = boss.post("/v1/requests", json={**BODY, "user_id": "u1", "tags": {"team": "north"}})
    assert (reply.status_code, reply.json()["existing"]) == (202, False)
    place = reply.headers["location"]
    told = boss.get(place).json()
    assert (told["status"], told["user_id"], told["results"]) == ("pending", "u1", None)
    assert told["progress"]["total"] == 1
    complete(database, told["id"], success=True, text="Hello")
    told = boss.get(place).json()
    assert (told["status"], told["results"]) == ("completed", {"success": True, "text": "Hello"})
    assert told["progress"]["percentage"] == 100
    assert told["completed_at"] == "2024-05-01T12:00:00.000Z"


def test_a_request_of_steps_is_told_with_them(
    boss: httpx.Client, database: Database[Document]
) -> None:
    """In the order of the template, each with its status; results by their keys."""
    steps = [
        {"key": "score", "service_type": "ANALYSIS", "service_template": {}, "after": ["draft"]},
        {"key": "draft", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}},
    ]
    request_id = submit(boss, template={"steps": steps})
    complete(database, f"{request_id}_draft", text="Hello")
    told = boss.get(f"/v1/requests/{request_id}").json()
    assert told["status"] == "processing"
    assert [(each["key"], each["status"]) for each in told["steps"]] == [
        ("score", "waiting"), ("draft", "completed"),
    ]  # fmt: skip
    assert told["results"] == {"draft": {"text": "Hello"}}
    assert boss.post(f"/v1/requests/{request_id}/cancel").status_code == 200
    assert boss.get(f"/v1/requests/{request_id}").json()["steps"][0]["status"] == "cancelled"


def test_sent_again_under_its_key_it_is_the_same(
    boss: httpx.Client, database: Database[Document]
) -> None:
    """As header or as field; another body is refused, and 20 at once make one."""
    header = {"Idempotency-Key": "k1"}
    first = boss.post("/v1/requests", json=BODY, headers=header)
    again = boss.post("/v1/requests", json={**BODY, "idempotency_key": "k1"})
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = boss.post("/v1/requests", json={**BODY, "priority": 1}, headers=header)
    assert problem(other) == (422, "key-reused")
    assert problem(
        boss.post("/v1/requests", json={**BODY, "idempotency_key": "k2"}, headers=header)
    ) == (422, "refused")
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(
            lambda _: boss.post("/v1/requests", json=BODY, headers={"Idempotency-Key": "k3"}),
            range(20),
        ))  # fmt: skip
    assert {each.status_code for each in replies} <= {202, 409}
    assert len({each.json()["id"] for each in replies if each.status_code == 202}) == 1
    assert database["contexts"].count_documents({}) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", {"$gt": ""}), ("text", {"$gt": ""}), ("template_id", {"$ne": None}),
        ("purpose_id", {"$gt": ""}), ("unique_key", {"$gt": ""}), ("priority", {"$gt": 0}),
        ("idempotency_key", {"$gt": ""}), ("$where", "1"), ("nonsense", 1), ("priority", 11),
        ("available_at", {"$gt": ""}), ("tags", 7), ("template", {"id": {"$gt": ""}}),
        ("max_attempts", True), ("unique_key", "a b"),
    ],
)  # fmt: skip
def test_what_is_not_understood_names_its_field(boss: httpx.Client, field: str, value: Any) -> None:
    """An operator is a value of the wrong kind like any other."""
    reply = boss.post("/v1/requests", json={"template_id": "x", field: value})
    assert problem(reply) == (422, "invalid")
    assert reply.json()["errors"][0]["field"].startswith(f"body.{field}")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'{"data": NaN}', b'{"data": {"x": -Infinity}}', b"\xff\xfe",
        b"[" * 100_000, b'{"data": {"x": ' + b"9" * 5000 + b"}}", b'{"data": "\\ud800"}',
        b'{"template_id": "\\ud800"}', b'{"data": {"a\\u0000b": 1}, "template_id": "x"}',
        b'{"template":{"service_type":"ANALYSIS","service_template":{"x":18446744073709551616}}}',
        b'{"template":{"service_type":"ANALYSIS","service_template":{"x":"\\ud800"}}}',
        b'{"template":{"service_type":"ANALYSIS","service_template":{"\\u0000":1}}}',
        b'{"template":{"service_type":"ANALYSIS","service_template":'
        + b'{"x":' * 200 + b"1" + b"}" * 202,
    ],
)  # fmt: skip
def test_an_unreadable_body_is_a_problem(boss: httpx.Client, content: bytes) -> None:
    """No JSON, too deep, too big a number, half a character: 422, and what is wrong."""
    reply = boss.post("/v1/requests", content=content, headers=JSON)
    assert problem(reply)[0] == 422


def test_a_body_over_the_limit_is_cut_off(boss: httpx.Client) -> None:
    """Also one that does not say how long it is."""
    whole = boss.post("/v1/requests", content=b" " * 17_000_000, headers=JSON)
    assert problem(whole) == (413, "too-large")
    parts = boss.post("/v1/requests", content=(b" " * 1_000_000 for _ in range(17)), headers=JSON)
    assert problem(parts) == (413, "too-large")


def test_a_key_is_for_what_its_scopes_say(boss: httpx.Client) -> None:
    """Nobody comes in without, and each scope opens its own routes."""
    asks = {
        "read": ("GET", "/v1/contexts", 200),
        "submit": ("POST", "/v1/requests", 422),
        "operate": ("POST", "/v1/services/GENERATIVE/resume", 200),
        "admin": ("PUT", "/v1/purposes/x", 422),
    }
    allowed = {"reader": {"read"}, "submitter": {"submit"}, "program": {"submit", "read"},
               "operator": {"operate", "read"}, "boss": {*asks}}  # fmt: skip
    for name, scopes in allowed.items():
        for scope, (method, path, status) in asks.items():
            body = {"json": {}} if method != "GET" else {}
            reply = boss.request(method, path, headers=secret_of(name), **body)
            assert reply.status_code == (status if scope in scopes else 403), (name, scope)
    for header in ("", "Bearer", "Bearer wrong", "Basic secret-of-boss", "secret-of-boss"):
        reply = boss.get("/v1/contexts", headers={"Authorization": header})
        assert problem(reply) == (401, "key-needed")
        assert reply.headers["www-authenticate"] == "Bearer"


def test_too_many_requests_wait(environment: dict[str, str], tmp_path: Path) -> None:
    """Each key for itself; the reply says how long."""
    with running_web(environment, tmp_path, AGENT_API_RATE_LIMIT="0.1") as web:
        with web.client("reader") as reader, web.client("boss") as boss:
            assert reader.get("/v1/purposes").status_code == 200
            reply = reader.get("/v1/purposes")
            assert problem(reply) == (429, "too-many-requests")
            assert 1 <= int(reply.headers["retry-after"]) <= 10
            assert boss.get("/v1/purposes").status_code == 200
        assert "secret-of" not in web.said


def test_production_does_not_start_without_keys(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """It says what to set."""
    web = Web(environment, tmp_path, AGENT_API_KEYS="")
    assert web.process.wait(timeout=60) == 78
    assert "AGENT_API_KEYS is not set" in web.said


def test_in_development_this_machine_needs_no_key(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """It says so; a page of the web that has its name lead here gets nothing."""
    with running_web(environment, tmp_path, AGENT_ENV="development", AGENT_API_KEYS="") as web:
        assert httpx.get(f"{web.url}/v1/contexts").status_code == 200
        reply = httpx.get(f"{web.url}/v1/contexts", headers={"Host": "evil.example"})
        assert problem(reply) == (403, "not-local")
        assert "this machine may do everything" in web.said


def test_without_mongodb_nothing_is_accepted(
    environment: dict[str, str], tmp_path: Path, mongodb_uri: str,
    database: Database[Document],
) -> None:  # fmt: skip
    """503 and when to come again; the process lives on, and what was not stored was not said to
    be."""
    with Proxy.before(mongodb_uri) as network:
        distant = {**environment, "MONGODB_URI": network.through(mongodb_uri)}
        with running_web(distant, tmp_path) as web, web.client() as boss:
            submit(boss)
            network.cut()
            assert network.refused
            reply = boss.post("/v1/requests", json=BODY, headers={"Idempotency-Key": "k"})
            assert problem(reply) == (503, "unavailable")
            assert int(reply.headers["retry-after"]) >= 1
            assert boss.get("/healthz").status_code == 200
            network.mend()
            again = wait_until(lambda: _accepted(boss, {"Idempotency-Key": "k"}), 60)
            assert boss.get(f"/v1/requests/{again}").status_code == 200
    assert database["contexts"].count_documents({}) == 2


def _accepted(client: httpx.Client, headers: dict[str, str]) -> str | None:
    reply = client.post("/v1/requests", json=BODY, headers=headers)
    return str(reply.json()["id"]) if reply.status_code == 202 else None


def test_a_result_is_waited_for_without_a_thread(
    web: Web, boss: httpx.Client, database: Database[Document]
) -> None:
    """More wait than there are threads, and others are served meanwhile."""
    request_id = submit(boss)
    place = f"/v1/requests/{request_id}/result"
    assert boss.get(place).status_code == 202
    assert boss.get(place, params={"wait": 0.2}).json()["status"] == "pending"
    limits = httpx.Limits(max_connections=POLLS)
    with web.client(limits=limits) as many, ThreadPoolExecutor(POLLS) as pool:
        polls = [pool.submit(many.get, place, params={"wait": 25}) for _ in range(POLLS)]
        for _ in range(5):
            assert boss.get(f"/v1/requests/{request_id}").status_code == 200
        assert not any(poll.done() for poll in polls)
        complete(database, request_id, text="Hello")
        replies = [poll.result() for poll in polls]
    assert {each.status_code for each in replies} == {200}
    assert replies[0].json()["results"] == {"text": "Hello"}
    assert problem(boss.get(place, params={"wait": 26})) == (422, "invalid")


def events_of(reply: httpx.Response) -> Iterator[tuple[str, str, Any]]:
    """Name, id and data of each event."""
    found: dict[str, str] = {}
    for line in reply.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            found[name] = value
        elif "data" in found:
            yield found["event"], found["id"], json.loads(found["data"])
            found = {}


def test_events_tell_each_change_until_the_end(
    boss: httpx.Client, database: Database[Document]
) -> None:
    """Of the steps, and of the whole; whoever comes again is told only what is new."""
    steps = [{"key": "draft", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}},
             {"key": "score", "service_type": "ANALYSIS", "service_template": {}}]  # fmt: skip
    request_id = submit(boss, template={"steps": steps})
    place = f"/v1/requests/{request_id}/events"
    with boss.stream("GET", place) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = events_of(reply)
        first = [next(events) for _ in range(3)]
        assert {(name, data["key"]) for name, _, data in first} == {
            ("step", "draft"), ("step", "score"), ("request", None),
        }  # fmt: skip
        complete(database, f"{request_id}_draft")
        name, seen, data = next(events)
        assert (name, data["key"], data["status"]) == ("step", "draft", "completed")
    with boss.stream("GET", place, headers={"Last-Event-ID": seen}) as reply:
        events = events_of(reply)
        threading.Timer(0.1, boss.post, [f"/v1/requests/{request_id}/cancel"]).start()
        name, _, data = next(events)
        assert (data["key"], data["status"]) != ("draft", "completed"), "that was told before"
        database["contexts"].update_one({"_id": request_id}, {"$set": {"status": "cancelled"}})
        *_, (name, last, data) = events
        assert (name, data["status"]) == ("request", "cancelled")
    assert boss.get(place, headers={"Last-Event-ID": last}).status_code == 204
    assert problem(boss.get("/v1/requests/nobody/events")) == (404, "not-found")


def test_it_stops_well_with_listeners(environment: dict[str, str], tmp_path: Path) -> None:
    """They are sent home at once: programs that listen for a request, and open pages."""
    with running_web(environment, tmp_path, AGENT_ENV="development") as web, web.client() as boss:
        place = f"/v1/requests/{submit(boss)}/events"
        with boss.stream("GET", place) as reply, boss.stream("GET", "/dashboard/live") as page:
            events = events_of(reply)
            next(events)
            assert next(page.iter_lines()).startswith(":")
            assert web.stop() == 0
            assert list(events) == []


def test_contexts_are_read_page_by_page(boss: httpx.Client, database: Database[Document]) -> None:
    """Each once, the newest first, also where many have one date; by their filters."""
    database["contexts"].insert_many(
        [a_context(_id=f"ctx_{number:02}", service_type="ANALYSIS") for number in range(25)]
    )
    newest = submit(boss, tags={"team": "north"}, user_id="u1")
    seen: list[str] = []
    asked: dict[str, Any] = {"limit": 7}
    while True:
        page = boss.get("/v1/contexts", params=asked).json()
        seen += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert seen == [newest, *(f"ctx_{number:02}" for number in reversed(range(25)))]
    for name, value in (("tag", "team=north"), ("user", "u1"), ("service", "generative"),
                        ("template", "inline"), ("since", "2025-01-01T00:00:00Z")):  # fmt: skip
        found = boss.get("/v1/contexts", params={name: value}).json()["items"]
        assert [each["id"] for each in found] == [newest], name
    assert boss.get("/v1/contexts", params={"status": "failed"}).json()["items"] == []
    for name, value in (("status", "x"), ("limit", "501"), ("nonsense", "1"), ("since", "x")):
        assert problem(boss.get("/v1/contexts", params={name: value})) == (422, "invalid")
    assert problem(boss.get("/v1/contexts", params={"cursor": "x"})) == (422, "refused")


@pytest.mark.parametrize("context_id", [ObjectId("6" * 24), 17, "a/b c", "retry", "é"])
def test_an_id_of_any_kind_is_found_and_changed(
    boss: httpx.Client, database: Database[Document], context_id: Any
) -> None:
    """As it is told, so it is asked for."""
    database["contexts"].insert_one(a_context(_id=context_id, status="scheduled"))
    [told] = boss.get("/v1/contexts").json()["items"]
    word = told["id"] if isinstance(told["id"], str) else json.dumps(told["id"])
    place = f"/v1/contexts/{httpx.QueryParams({'x': word})}".replace("/x=", "/").replace("+", "%20")
    shown = boss.get(place).json()
    assert shown["id"] == told["id"]
    assert "no bridge leads" in shown["why"]
    assert boss.post(f"{place}/priority", json={"priority": 2}).json()["priority"] == 2
    later = {"available_at": "2099-01-01T00:00:00.000Z"}
    assert boss.post(f"{place}/postpone", json=later).json().items() >= later.items()
    for at in ("2099-02-01T00:00:00.000Z", None):
        told = boss.post(f"{place}/deadline", json={"deadline_at": at}).json()
        assert (told["status"], told["deadline_at"]) == ("scheduled", at)
    for body in ({"available_at": None}, {"available_at": {"$gt": ""}}, {}, {"x": 1}):
        assert problem(boss.post(f"{place}/postpone", json=body)) == (422, "invalid")
    past = {"available_at": "2024-05-01T12:00:00Z"}
    assert problem(boss.post(f"{place}/postpone", json=past)) == (422, "refused")
    assert boss.post(f"{place}/run-now").json()["status"] == "pending"
    assert boss.post(f"{place}/cancel").json()["status"] == "cancelled"
    assert problem(boss.post(f"{place}/run-now")) == (409, "conflict")
    for verb, body in (("priority", {"priority": 2}), ("postpone", later),
                       ("deadline", {"deadline_at": None})):  # fmt: skip
        assert problem(boss.post(f"{place}/{verb}", json=body)) == (409, "conflict")
    assert boss.post(f"{place}/retry").json()["generation"] == 1


def test_all_that_match_are_begun_anew(boss: httpx.Client, database: Database[Document]) -> None:
    """So many at most; a dry run only counts."""
    failed = [a_context(_id=f"ctx_{number}", status="failed", completed_at=LONG_AGO,
                        error={"type": "X", "message": "x", "fingerprint": "k1"})
              for number in range(5)]  # fmt: skip
    database["contexts"].insert_many(failed)
    [kind] = boss.get("/v1/dead-letters").json()["kinds"]
    assert (kind["kind"], kind["count"], kind["service_type"]) == ("k1", 5, "GENERATIVE")
    asked = {"kind": "k1", "service": "generative"}
    dry = boss.post("/v1/contexts/retry", json={**asked, "dry_run": True}).json()
    assert (dry["matched"], dry["changed"]) == (5, 0)
    some = boss.post("/v1/contexts/retry", json={**asked, "limit": 3}).json()
    assert (some["changed"], some["is_complete"]) == (3, False)
    rest = boss.post("/v1/contexts/retry", json={**asked, "until": some["until"]}).json()
    assert (rest["changed"], rest["is_complete"]) == (2, True)
    database["contexts"].update_many({}, {"$set": {"status": "failed", "completed_at": LONG_AGO,
                                                   "error": failed[0]["error"]}})  # fmt: skip
    slow = boss.post("/v1/contexts/retry", json={**asked, "per_minute": 2}).json()
    assert slow["changed"] == 5
    turns = sorted(each["available_at"] for each in database["contexts"].find())
    assert [round((turn - turns[0]).total_seconds()) for turn in turns] == [0, 30, 60, 90, 120]
    assert boss.post("/v1/contexts/cancel", json={"user": "user:42"}).json()["changed"] == 5
    for body in ({"user": {"$gt": ""}}, {"$where": "1"}, {"limit": "5"}):
        assert problem(boss.post("/v1/contexts/cancel", json=body)) == (422, "invalid")


def test_a_service_is_paused_and_resumed(boss: httpx.Client) -> None:
    """With who, why and until when."""
    body = {"reason": "new key", "until": "2099-01-01T00:00:00Z"}
    paused = boss.post("/v1/services/generative/pause", json=body).json()
    assert paused["pause"]["reason"] == "new key (boss)"
    assert paused["pause"]["until"] == "2099-01-01T00:00:00.000Z"
    submit(boss)
    listed = {each["name"]: each for each in boss.get("/v1/services").json()["items"]}
    assert listed["GENERATIVE"]["counts"] == {"pending": 1}
    assert listed["ANALYSIS"]["pause"] is None
    assert boss.post("/v1/services/GENERATIVE/resume").json()["pause"] is None
    assert problem(boss.get("/v1/services/nobody")) == (404, "not-found")


def test_templates_and_purposes_are_stored_and_used(boss: httpx.Client) -> None:
    """A purpose whose template is not there yet is warned of."""
    purpose = {"template_id": "welcome", "keywords": ["welcome"]}
    assert "not there" in boss.put("/v1/purposes/hello", json=purpose).json()["warning"]
    template = {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi {{name}}"}}
    assert boss.put("/v1/templates/welcome", json=template).json()["version"] == "1.0"
    assert boss.put("/v1/purposes/hello", json=purpose).json()["warning"] is None
    assert boss.get("/v1/templates/welcome").json()["service_template"] == {"prompt": "Hi {{name}}"}
    assert [each["id"] for each in boss.get("/v1/templates").json()["items"]] == ["welcome"]
    assert boss.get("/v1/purposes/hello").json()["keywords"] == ["welcome"]
    asked = boss.post("/v1/requests", json={"text": "Please welcome Ann"})
    told = boss.get(asked.headers["location"]).json()
    assert (told["template"]["id"], told["selection"]["purpose_id"]) == ("welcome", "hello")
    assert problem(boss.put("/v1/templates/x", json={"id": "y"})) == (422, "refused")
    assert problem(boss.get("/v1/templates/nobody")) == (404, "not-found")
