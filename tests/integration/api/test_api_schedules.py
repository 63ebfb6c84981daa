"""`/v1/schedules`, as programs use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis
from pymongo.database import Database

from agent.models import Document
from agent.projections.doorbell import SCHEDULES, Listener, doorbell_channel
from agent.settings import Settings
from tests.acceptance.web import BODY
from tests.waiting import wait_until

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SUNDAYS = {"name": "news", "cron": "30 7 * * 7", "timezone": "Europe/Berlin", "request": BODY}
WRONG: list[tuple[Document, str, str]] = [
    ({"cron": {"$gt": ""}}, "invalid", "body.cron"),
    ({"name": {"$gt": ""}}, "invalid", "body.name"),
    ({"name": "a b"}, "invalid", "body.name"),
    ({"$where": "1"}, "invalid", "$where"),
    ({"request": {"template_id": {"$ne": ""}}}, "invalid", "body.request.template_id"),
    ({"request": {**BODY, "nonsense": 1}}, "invalid", "body.request.nonsense"),
    ({"catch_up": "some"}, "invalid", "body.catch_up"),
    ({"paused": "yes"}, "invalid", "body.paused"),
    ({"cron": "61 * * * *"}, "refused", "`cron`"),
    ({"cron": "0 0 31 2 *"}, "refused", "day-of-month"),
    ({"timezone": "Mars/Base"}, "refused", "`timezone`"),
    ({"every_seconds": 5}, "refused", "one of them"),
    ({"request": {**BODY, "deadline_at": "2090-01-01"}}, "refused", "request.deadline_at"),
    ({"request": {"template_id": "nowhere"}}, "refused", "nowhere"),
    ({"request": {**BODY, "data": {"x": "x" * 1_100_000}}}, "refused", "larger than"),
]
"""What is no schedule, the kind of its problem, and what the problem names."""


def problem(reply: Any) -> tuple[int, str]:
    """What a reply tells of a problem."""
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    return reply.status_code, reply.json()["type"].removeprefix("/problems/")


def test_a_schedule_is_stored_shown_and_forgotten(
    boss: TestClient, database: Database[Document]
) -> None:
    """With when it is due next; where it is stands in the answer."""
    made = boss.post("/v1/schedules", json=SUNDAYS)
    assert (made.status_code, made.headers["location"]) == (201, "/v1/schedules/news")
    told = boss.get(made.headers["location"]).json()
    assert told == made.json()
    assert (told["name"], told["request"], told["paused"]) == ("news", BODY, False)
    assert told["next_times"][0] == told["next_at"]
    [stored] = database["schedules"].find()
    assert (stored["_id"], stored["request"], "name" in stored) == ("news", BODY, False)
    assert boss.delete("/v1/schedules/news").status_code == 204
    for reply in (boss.get("/v1/schedules/news"), boss.delete("/v1/schedules/news")):
        assert problem(reply) == (404, "not-found")


def test_a_name_is_given_once(boss: TestClient) -> None:
    """`POST` leaves the one that is there alone, `PUT` replaces it, or makes it."""
    boss.post("/v1/schedules", json=SUNDAYS)
    again = boss.post("/v1/schedules", json={**SUNDAYS, "cron": "* * * * *"})
    assert problem(again) == (409, "exists")
    assert boss.get("/v1/schedules/news").json()["cron"] == SUNDAYS["cron"]
    for name in ("news", "other"):
        body = {"every_seconds": 900, "start_at": "2090-01-01T00:00:00Z", "request": BODY}
        told = boss.put(f"/v1/schedules/{name}", json=body).json()
        assert (told["name"], told["cron"], told["every_seconds"]) == (name, None, 900)
        assert told["next_times"][1] == "2090-01-01T00:15:00.000Z"


def test_schedules_are_listed_page_by_page(boss: TestClient) -> None:
    """By name, with their next times, without their requests, which may be large."""
    for name in ("c", "a", "b"):
        boss.post("/v1/schedules", json={**SUNDAYS, "name": name})
    first = boss.get("/v1/schedules", params={"limit": 2}).json()
    assert [each["name"] for each in first["items"]] == ["a", "b"]
    assert all(len(each["next_times"]) == 3 for each in first["items"])
    assert not any("request" in each for each in first["items"])
    rest = boss.get("/v1/schedules", params={"limit": 2, "cursor": first["next"]}).json()
    assert ([each["name"] for each in rest["items"]], rest["next"]) == (["c"], None)


def test_next_times_are_told_in_the_schedules_own_zone(boss: TestClient) -> None:
    """Beside UTC; across the change of summer time they keep their time of day."""
    boss.post("/v1/schedules", json=SUNDAYS)
    told = boss.get("/v1/schedules/news/next", params={"count": 60}).json()
    assert (told["timezone"], len(told["items"])) == ("Europe/Berlin", 60)
    assert {each["local"][11:16] for each in told["items"]} == {"07:30"}
    assert {each["at"][11:16] for each in told["items"]} == {"05:30", "06:30"}
    reply = boss.get("/v1/schedules/news/next", params={"count": 1001})
    assert problem(reply) == (422, "invalid")


def test_a_paused_schedule_still_runs_when_it_is_told_to(
    boss: TestClient, database: Database[Document]
) -> None:
    """What comes of that is a request like any other; resuming sets the next due time."""
    boss.post("/v1/schedules", json=SUNDAYS)
    assert boss.post("/v1/schedules/news/pause").json()["paused"] is True
    run = boss.post("/v1/schedules/news/run-now")
    assert run.status_code == 202
    assert run.headers["location"] == f"/v1/requests/{run.json()['id']}"
    assert boss.get(run.headers["location"]).json()["source"] == "schedule"
    told = boss.get("/v1/schedules/news").json()
    assert (told["fired"], told["last_ids"]) == (1, [run.json()["id"]])
    database["schedules"].update_one({"_id": "news"}, {"$set": {"next_at": None}})
    resumed = boss.post("/v1/schedules/news/resume").json()
    assert resumed["paused"] is False
    assert resumed["next_at"] == resumed["next_times"][0]


def test_what_cannot_be_a_schedule_is_told(boss: TestClient, database: Database[Document]) -> None:
    """An operator is a value of the wrong kind like any other; nothing is stored."""
    for more, kind, told in WRONG:
        reply = boss.post("/v1/schedules", json={**SUNDAYS, **more})
        assert problem(reply) == (422, kind), more
        assert told in reply.json()["detail"], more
    assert database["schedules"].count_documents({}) == 0


def test_reading_and_changing_have_scopes_of_their_own(
    asking: Callable[[str], TestClient],
) -> None:
    """`read` sees, `operate` changes, `submit` does neither."""
    asking("operator").post("/v1/schedules", json=SUNDAYS).raise_for_status()
    body = {name: value for name, value in SUNDAYS.items() if name != "name"}
    changes = [
        ("POST", "", SUNDAYS), ("PUT", "/news", body), ("DELETE", "/news", None),
        ("POST", "/news/pause", None), ("POST", "/news/resume", None),
        ("POST", "/news/run-now", None),
    ]  # fmt: skip
    looks = [("GET", "", None), ("GET", "/news", None), ("GET", "/news/next", None)]
    for name, refused in (("reader", changes), ("submitter", changes + looks)):
        for method, path, sent in refused:
            reply = asking(name).request(method, f"/v1/schedules{path}", json=sent)
            assert problem(reply) == (403, "scope-missing"), (name, method, path)
    for method, path, sent in looks:
        reply = asking("reader").request(method, f"/v1/schedules{path}", json=sent)
        assert reply.status_code == 200, path


def test_a_schedule_that_somebody_else_wrote_is_shown(
    boss: TestClient, database: Database[Document]
) -> None:
    """Also one that cannot be read; its next times are then none."""
    database["schedules"].insert_one({"_id": "odd", "request": [], "cron": 7, "paused": "no"})
    [listed] = boss.get("/v1/schedules").json()["items"]
    assert (listed["name"], listed["next_times"]) == ("odd", [])
    assert boss.get("/v1/schedules/odd").status_code == 200
    for method, path in (("GET", "next"), ("POST", "resume")):
        assert problem(boss.request(method, f"/v1/schedules/odd/{path}")) == (422, "refused")
    assert boss.post("/v1/schedules/odd/run-now").status_code == 422


def test_the_bridge_is_rung_for_what_may_be_due_sooner(
    boss: TestClient, settings: Settings, client: redis.Redis
) -> None:
    """Of schedules when one is stored or resumed, of work when one is run."""
    heard: list[str] = []
    channel = doorbell_channel(settings.namespace)
    listener = Listener(client, [channel], lambda _channel, what: heard.append(what))
    listener.start()
    try:
        assert listener.wait_until_connected(10)
        for method, path, what, sent in (
            ("POST", "", SCHEDULES, SUNDAYS), ("POST", "/news/resume", SCHEDULES, None),
            ("POST", "/news/run-now", "", None),
        ):  # fmt: skip
            heard.clear()
            boss.request(method, f"/v1/schedules{path}", json=sent).raise_for_status()
            wait_until(lambda: heard)
            assert heard == [what]
    finally:
        listener.stop()
