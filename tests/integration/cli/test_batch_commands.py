"""`agent batch`: rows in, and results out; how the items end is written by the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.duties.expand import Expand
from agent.duties.settle import Settle
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.cli.conftest import Commands

TEMPLATE = {"id": "hello", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}
ROWS = "name,user_id\nAnn,u1\nBob,u2\ntoo,many,fields\n=cmd(),u4\n"


@pytest.fixture
def rows(tmp_path: Path, agent: Commands, settings: Settings) -> Path:
    """A file of rows, one of them ragged; and the template for them."""
    (tmp_path / "hello.json").write_text(json.dumps(TEMPLATE))
    assert agent("templates", "load", str(tmp_path)).code == 0
    file = tmp_path / "people.csv"
    file.write_text(ROWS)
    return file


def carry_out(settings: Settings, *, failing: str) -> None:
    """Have each item end: all but one well."""
    repository = MongoContextRepository.connect(settings)
    Expand(repository).run()
    ended = {"$set": {"status": "completed", "results": {"text": "Hi"}}}
    repository.contexts.update_many({"kind": "context"}, ended)
    error = {"type": "BadRequest", "message": "no such user"}
    repository.contexts.update_one(
        {"request.user_id": failing}, {"$set": {"status": "failed", "error": error}}
    )
    Settle(repository).run()
    repository.close()


def test_a_file_becomes_a_batch_and_its_results_a_file(
    agent: Commands, rows: Path, settings: Settings, tmp_path: Path
) -> None:
    """Wrong rows are told by their numbers; what begins like a formula is none in CSV."""
    done = agent("batch", "run", str(rows), "--template", "hello", "--no-wait")
    assert done.code == 0
    assert "row 3: 3 fields where the header has 2" in done.err
    batch_id = done.out.strip()
    assert "processing: 0 of 3 (0 %)" in agent("batch", "show", batch_id).out
    carry_out(settings, failing="u2")
    shown = agent("batch", "show", batch_id)
    assert "failed: 3 of 3 (100 %), 2 succeeded, 1 failed, 0 cancelled" in shown.out
    assert "row 2 (u2): BadRequest: no such user" in shown.out
    assert "1 row is no part of it" in shown.out
    lines = agent("batch", "results", batch_id).out.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["completed", "failed", "completed"]
    output = tmp_path / "results.csv"
    assert agent("batch", "results", batch_id, "--output", str(output)).code == 0
    assert "'=cmd()" not in output.read_text()  # it stands within JSON, which begins with {
    assert output.read_text().splitlines()[2].startswith(f"2,{batch_id}_0000002,failed,u2,")
    assert agent("batch", "list", "--json").json[0]["progress"]["failed"] == 1


def test_a_batch_is_cancelled_and_begun_anew(agent: Commands, rows: Path) -> None:
    """As a whole; one that is unknown costs only itself."""
    batch_id = agent("batch", "run", str(rows), "--template", "hello", "--no-wait").out.strip()
    done = agent("batch", "cancel", batch_id, "nosuch")
    assert (done.code, batch_id in done.out, "no batch 'nosuch'" in done.err) == (1, True, True)
    assert agent("batch", "retry", batch_id).code in (0, 1)


def test_the_same_file_under_one_key_is_one_batch(agent: Commands, rows: Path) -> None:
    """And another file is refused."""
    run = ("batch", "run", str(rows), "--template", "hello", "--no-wait")
    first = agent(*run, "--idempotency-key", "may")
    assert agent(*run, "--idempotency-key", "may", "--json").json["id"] == first.out.strip()
    rows.write_text("name\nCem\n")
    assert agent(*run, "--idempotency-key", "may").code == 2
    counted = agent(*run, "--idempotency-key", "june", "--at", "+1h")
    assert (counted.code, counted.out) == (2, "")
    assert "--at: '+1h' is another time whenever it is said" in counted.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("{}", "--template", "nosuch"), "nosuch"),
        (("{}",), "no template"),
        (("{}.gone", "--template", "hello", "--format", "csv"), "cannot be read"),
        (("{}.txt", "--template", "hello"), "say csv or jsonl"),
        (("{}", "--template", "hello", "--mode", "some"), "`mode`"),
        (("{}", "--template", "hello", "--results", "r.csv", "--no-wait"), "--results"),
        (("{}", "--template", "hello", "--format", "jsonl"), "none of 5 rows can be used"),
    ],
)
def test_what_cannot_be_a_batch_is_refused(
    agent: Commands, rows: Path, arguments: tuple[str, ...], told: str
) -> None:
    """In words that say what to do, and with 2."""
    Path(f"{rows}.txt").write_text("a\n1\n")
    done = agent("batch", "run", *(word.format(rows) for word in arguments))
    assert (done.code, done.out) == (2, "")
    assert told in done.err
