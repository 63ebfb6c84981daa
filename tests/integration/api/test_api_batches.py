"""`/v1/batches`, as programs use it; the duties and the workers do what a test says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.database import Database

from agent.api.uploads import UploadQuery
from agent.intake.batch import Batch
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.duties.batches import GREETING, PEOPLE, Campaigns
from tests.integration.duties.requests import Requests

if TYPE_CHECKING:
    from starlette.testclient import TestClient

BATCH: Document = {"template": GREETING, "data": {"team": "north"}, "items": PEOPLE}
CSV = {"Content-Type": "text/csv"}
JSONL = {"Content-Type": "application/x-ndjson"}
WHOLE = {"template": json.dumps(GREETING)}


@pytest.fixture
def campaigns(repository: MongoContextRepository) -> Campaigns:
    """The other side: what becomes of a batch."""
    repository.create_indexes()
    return Campaigns(Requests(repository))


def problem(reply: Any) -> tuple[int, str]:
    """What a reply tells of a problem."""
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    return reply.status_code, reply.json()["type"].removeprefix("/problems/")


def made(reply: Any) -> str:
    """The id of a batch that was accepted."""
    assert reply.status_code == 202, reply.text
    assert reply.headers["location"] == f"/v1/batches/{reply.json()['id']}"
    return str(reply.json()["id"])


def test_a_list_of_items_becomes_a_batch(boss: TestClient, campaigns: Campaigns) -> None:
    """Each item is a request over what all have in common; a bad one costs only itself."""
    reply = boss.post("/v1/batches", json={**BATCH, "items": [*PEOPLE, 7]})
    batch_id = made(reply)
    told = reply.json()
    assert (told["existing"], told["total"], told["rejected"]["count"]) == (False, 3, 1)
    assert told["rejected"]["rows"] == [{"row": 4, "error": "no object"}]
    assert boss.get(f"/v1/batches/{batch_id}").json()["is_expanding"] is True
    campaigns.run()
    campaigns.carry_out(failing=("Bob",))
    told = boss.get(f"/v1/batches/{batch_id}").json()
    assert (told["status"], told["is_expanding"], told["rejected"]["count"]) == ("failed", False, 1)
    progress = told["progress"]
    counts = {name: progress[name] for name in ("total", "processed", "succeeded", "failed")}
    assert counts == {"total": 3, "processed": 3, "succeeded": 2, "failed": 1}
    assert progress["rate"] > 0
    assert progress["estimated_end_at"] is None
    [listed] = boss.get("/v1/batches").json()["items"]
    assert (listed["id"], listed["progress"]) == (batch_id, progress)


def test_an_upload_is_read_as_its_kind_says(boss: TestClient, campaigns: Campaigns) -> None:
    """CSV with the names of its columns in the first line, or an object of JSON in each."""
    common = {**WHOLE, "data": '{"team": "north"}', "tags": '{"run": "1"}', "priority": "3"}
    content = 'name;user_id\r\nÄnn;user:1\r\nBob\r\n"C;em";user:3\r\n'.encode()
    reply = boss.post("/v1/batches/upload", params=common, content=content, headers=CSV)
    batch_id = made(reply)
    assert reply.json()["rejected"]["rows"] == [
        {"row": 2, "error": "1 fields where the header has 2"}
    ]
    content = b'{"name": "Ann", "user_id": "user:1"}\n\n{"name"\n'
    other_id = made(boss.post("/v1/batches/upload", params=WHOLE, content=content, headers=JSONL))
    campaigns.run()
    items = boss.get(f"/v1/batches/{batch_id}/items").json()["items"]
    assert [(each["row"], each["user_id"], each["data"]) for each in items] == [
        (1, "user:1", {"team": "north", "name": "Änn", "user_id": "user:1"}),
        (3, "user:3", {"team": "north", "name": "C;em", "user_id": "user:3"}),
    ]
    shown = boss.get(f"/v1/contexts/{items[0]['id']}").json()
    assert (shown["priority"], shown["tags"]) == (3, {"run": "1"})
    assert boss.get(f"/v1/batches/{other_id}").json()["progress"]["total"] == 1


WRONG: list[tuple[dict[str, str], bytes, str, str]] = [
    (CSV, b"", "refused", "no CSV"),
    (CSV, b"name\r\n", "refused", "no rows"),
    (CSV, "name\r\nÄnn\r\n".encode("latin-1"), "refused", "line 2 is not UTF-8"),
    (CSV, "name\r\nAnn\r\n".encode("utf-16"), "refused", "UTF-16"),
    (CSV, b'name\r\n"Ann\r\n', "refused", "no CSV from row"),
    (CSV, b"name,name\r\na,b\r\n", "refused", "twice"),
    (CSV, b"\x89PNG\r\n\x1a\n\0\0\0", "refused", "not UTF-8"),
    (JSONL, b"", "refused", "no rows"),
    (JSONL, b"name\r\nAnn\r\n", "refused", "none of 2 rows"),
    (JSONL, b'{"name": NaN}', "refused", "NaN"),
    ({"Content-Type": "application/zip"}, b"PK", "media-type", "text/csv"),
    ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", "media-type", "text/csv"),
]
"""What is no upload, the kind of its problem, and what the problem says."""


def test_what_is_no_upload_is_told(boss: TestClient, database: Database[Document]) -> None:
    """Wrong encoding, no rows, no CSV: what is wrong, and nothing is kept."""
    for headers, content, kind, told in WRONG:
        reply = boss.post("/v1/batches/upload", params=WHOLE, content=content, headers=headers)
        assert problem(reply)[1] == kind, content
        assert told in reply.json()["detail"], (content, reply.json()["detail"])
    for name in ("contexts", "uploads"):
        assert database[name].count_documents({}) == 0


def test_what_is_no_batch_names_its_field(boss: TestClient, database: Database[Document]) -> None:
    """An operator is a value of the wrong kind like any other, in a body and in a query."""
    for field, value in (("mode", "all"), ("items", []), ("items", {"$gt": ""}), ("$where", 1),
                         ("template_id", {"$gt": ""}), ("nonsense", 1)):  # fmt: skip
        reply = boss.post("/v1/batches", json={**BATCH, field: value})
        assert problem(reply) == (422, "invalid")
        assert reply.json()["errors"][0]["field"].startswith(f"body.{field}")
    for content in (b"", b"{", b'{"items": [NaN]}', b"\xff", b"[" * 100_000):
        reply = boss.post(
            "/v1/batches", content=content, headers={"Content-Type": "application/json"}
        )
        assert problem(reply) == (422, "invalid"), content[:20]
    for asked, kind in (
        ({"nonsense": "1"}, "invalid"), ({"template_id[$ne]": ""}, "invalid"),
        ({"data": "[]"}, "invalid"), ({"data": "{"}, "refused"), ({"data": "[NaN]"}, "refused"),
        ({"template_id": "nowhere"}, "refused"), ({}, "refused"),
    ):  # fmt: skip
        reply = boss.post("/v1/batches/upload", params=asked, content=b"a\n1\n", headers=CSV)
        assert problem(reply) == (422, kind), asked
    assert database["contexts"].count_documents({}) == 0


def test_an_upload_can_say_all_that_a_batch_can() -> None:
    """In its query, but for the idempotency key, which is a header."""
    assert {*UploadQuery.model_fields} == {*Batch.model_fields} - {"idempotency_key"}


def test_sent_again_under_its_key_it_is_the_same_batch(
    boss: TestClient, database: Database[Document]
) -> None:
    """As a list and as an upload; other rows under the key are refused."""
    header = {"Idempotency-Key": "k1"}
    first, again = (boss.post("/v1/batches", json=BATCH, headers=header) for _ in range(2))
    assert made(first) == made(again)
    assert first.json() == again.json()
    other = boss.post("/v1/batches", json={**BATCH, "items": [{"name": "Dan"}]}, headers=header)
    assert problem(other) == (422, "key-reused")
    header = {"Idempotency-Key": "k2", **CSV}
    one, two = (
        boss.post("/v1/batches/upload", params=WHOLE, content=b"name\nAnn\n", headers=header)
        for _ in range(2)
    )
    assert made(one) == made(two)
    other = boss.post("/v1/batches/upload", params=WHOLE, content=b"name\nBob\n", headers=header)
    assert problem(other) == (422, "key-reused")
    assert database["contexts"].count_documents({}) == 2


def test_results_are_downloaded_as_lines(boss: TestClient, campaigns: Campaigns) -> None:
    """In the order of the rows, with what came of each; or only those of one status."""
    batch_id = made(boss.post("/v1/batches", json=BATCH))
    campaigns.run()
    campaigns.carry_out(failing=("Bob",))
    reply = boss.get(f"/v1/batches/{batch_id}/results")
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert "attachment" in reply.headers["content-disposition"]
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [(each["row"], each["status"], each["results"]) for each in lines] == [
        (1, "completed", {"text": "Hi Ann"}), (2, "failed", None),
        (3, "completed", {"text": "Hi Cem"}),
    ]  # fmt: skip
    assert lines[1]["error"]["type"] == "BadRequest"
    reply = boss.get(f"/v1/batches/{batch_id}/results", params={"status": "failed"})
    assert [json.loads(line)["row"] for line in reply.text.splitlines()] == [2]


def test_no_spreadsheet_carries_out_what_is_downloaded(
    boss: TestClient, campaigns: Campaigns, database: Database[Document]
) -> None:
    """What begins like a formula begins with an apostrophe instead, whoever wrote it."""
    starts = ["=cmd|' /C calc'!A0", "+1+1", "-1", "@SUM(1)", "\t=1", "\r=1"]
    items = [{"user_id": each} for each in starts]
    batch_id = made(boss.post("/v1/batches", json={**BATCH, "template": GREETING, "items": items}))
    campaigns.run()
    database["contexts"].update_many(
        {"parent_id": batch_id},
        {"$set": {"status": "failed", "error": {"type": "=X()", "message": "@y"}, "results": "=z"}},
    )
    reply = boss.get(f"/v1/batches/{batch_id}/results", params={"format": "csv"})
    assert reply.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert [each["user_id"] for each in rows] == [f"'{each}" for each in starts]
    assert {(each["error_type"], each["error_message"], each["results"]) for each in rows} == {
        ("'=X()", "'@y", "'=z")
    }
    assert json.loads(rows[0]["data"])["user_id"] == starts[0]


def test_items_are_read_page_by_page(boss: TestClient, campaigns: Campaigns) -> None:
    """Each once, in the order of the rows; a cursor of elsewhere is refused."""
    items = [{"name": f"n{number}"} for number in range(25)]
    batch_id = made(boss.post("/v1/batches", json={**BATCH, "items": items}))
    campaigns.run()
    seen: list[int] = []
    asked: dict[str, Any] = {"limit": 10}
    while True:
        page = boss.get(f"/v1/batches/{batch_id}/items", params=asked).json()
        seen += [each["row"] for each in page["items"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert seen == list(range(1, 26))
    for cursor in ("é", "!!", "_w"):
        reply = boss.get(f"/v1/batches/{batch_id}/items", params={"cursor": cursor})
        assert problem(reply) == (422, "refused"), cursor


def test_a_batch_is_cancelled_and_begun_anew(boss: TestClient, campaigns: Campaigns) -> None:
    """With all of its items; another one is left alone."""
    batch_id, other_id = (made(boss.post("/v1/batches", json=BATCH)) for _ in range(2))
    campaigns.run()
    boss.post(f"/v1/batches/{batch_id}/cancel").raise_for_status()
    campaigns.run()
    told = boss.get(f"/v1/batches/{batch_id}").json()
    assert (told["status"], told["progress"]["cancelled"]) == ("cancelled", 3)
    assert boss.get(f"/v1/batches/{other_id}").json()["status"] == "processing"
    assert problem(boss.post(f"/v1/batches/{batch_id}/cancel")) == (409, "conflict")
    boss.post(f"/v1/batches/{batch_id}/retry", json={"fresh_key": True}).raise_for_status()
    campaigns.run()
    told = boss.get(f"/v1/batches/{batch_id}").json()
    assert (told["status"], told["progress"]["cancelled"]) == ("processing", 0)


def test_the_end_of_a_batch_is_waited_for(boss: TestClient, campaigns: Campaigns) -> None:
    """Its result says that it is not final yet, and then that it is; so do its events."""
    batch_id = made(boss.post("/v1/batches", json=BATCH))
    assert boss.get(f"/v1/batches/{batch_id}/result", params={"wait": 0.1}).status_code == 202
    campaigns.run()
    campaigns.carry_out()
    reply = boss.get(f"/v1/batches/{batch_id}/result", params={"wait": 20})
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    lines = boss.get(f"/v1/batches/{batch_id}/events").text.splitlines()
    assert "event: batch" in lines
    [told] = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert (told["status"], told["progress"]["succeeded"]) == ("completed", 3)


def test_what_is_no_batch_is_not_found(boss: TestClient) -> None:
    """Nor is a request, which has routes of its own."""
    request_id = boss.post("/v1/requests", json={"template": GREETING}).json()["id"]
    for batch_id in (request_id, "nobody"):
        for method, path in (("GET", ""), ("GET", "/items"), ("GET", "/results"),
                             ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"),
                             ("POST", "/retry")):  # fmt: skip
            reply = boss.request(method, f"/v1/batches/{batch_id}{path}")
            assert problem(reply) == (404, "not-found"), (batch_id, path)


def test_each_scope_has_its_part(asking: Callable[[str], TestClient]) -> None:
    """`submit` makes, `read` sees, `operate` changes."""
    batch_id = made(asking("submitter").post("/v1/batches", json=BATCH))
    upload = {"params": WHOLE, "content": b"name\nAnn\n", "headers": CSV}
    made(asking("submitter").post("/v1/batches/upload", **upload))
    for method, path, allowed in (
        ("GET", "", "reader"), ("GET", "/items", "reader"), ("GET", "/results", "reader"),
        ("GET", "/result", "reader"), ("POST", "/cancel", "operator"),
    ):  # fmt: skip
        for name in ("submitter", "reader"):
            reply = asking(name).request(method, f"/v1/batches/{batch_id}{path}")
            assert (reply.status_code == 403) == (name != allowed), (name, method, path)
    assert asking("reader").post("/v1/batches", json=BATCH).status_code == 403
    assert asking("operator").post("/v1/batches/upload", **upload).status_code == 403
