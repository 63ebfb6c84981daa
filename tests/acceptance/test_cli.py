"""The commands that people type, on real servers, with nobody there to do the work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from agent.embedded.ports import free_port
from agent.models import Document
from tests.acceptance.commands import AGENT, Agent
from tests.factories import LONG_AGO, a_context

Contexts = Database[Document]


def test_help_comes_at_once() -> None:
    """Nothing heavy is imported before a command needs it."""
    heavy = ("pymongo", "redis", "pydantic", "structlog", "rich", "httpx", "dramatiq", "fastapi")
    code = f"import sys, agent.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_command_explains_itself(agent: Agent) -> None:
    """With its exit codes."""
    listed = agent("--help").out
    verbs = ["up", "demo", "setup", "submit", "show", "list", "status", "cancel", "retry",
             "run-now", "pause", "resume"]  # fmt: skip
    assert all(f"\n  {verb} " in listed for verb in verbs)
    assert "Exit codes: 0 fine" in agent("submit", "--help").out


def test_setup_may_be_run_again(agent: Agent, database: Contexts) -> None:
    """The indexes are there afterwards; the second time changes nothing."""
    first, second = agent("setup"), agent("setup", "--json")
    assert (first.code, second.code) == (0, 0)
    assert "indexes are there; MongoDB and Redis answer" in first.out
    assert {"claim", "due", "by_service"} <= set(second.json["indexes"])
    assert "claim" in database["contexts"].index_information()


def test_a_server_that_is_away_is_waited_for_and_then_named(agent: Agent) -> None:
    """Exit code 69, after a message and the time that was given."""
    done = agent("setup", "--wait", "0.1", REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert done.code == 69
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["agent", "agent"]
    assert "waiting for Redis" in done.err


def test_a_context_is_stored_and_shown(agent: Agent, database: Contexts) -> None:
    """From the words of a command to the document, and back to words."""
    context_id = agent.submit(
        *("--data", '{"name": "Ada"}', "--user", "u1", "--priority", "2", "--tag", "team=north"),
        *("--text", "Greet", "--at", "+1h", "--deadline", "+2h"),
    )
    stored = database["contexts"].find_one({"_id": context_id})
    assert stored is not None
    assert (stored["status"], stored["priority"], stored["tags"], stored["source"]) == (
        "scheduled", 2, {"team": "north"}, "cli",
    )  # fmt: skip
    assert stored["request"]["data"] == {"name": "Ada"}
    shown = agent("show", context_id)
    assert shown.code == 0
    assert "as it was asked to" in shown.out
    assert agent("show", context_id, "--json").json["_id"] == context_id


def test_a_body_may_come_from_stdin_or_a_file(agent: Agent, tmp_path: Path) -> None:
    """What is too long to be typed."""
    (tmp_path / "data.json").write_text('{"name": "Ada"}')
    done = agent(
        *("submit", "--service", "generative", "--body", "-", "--data", "@data.json", "--json"),
        stdin='{"prompt": "Hi {{name}}"}',
    )
    shown = agent("show", done.json["_id"], "--json").json
    assert shown["template"]["service_template"] == {"prompt": "Hi {{name}}"}
    assert shown["request"]["data"] == {"name": "Ada"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["submit"], "no template"),
        (["submit", "--service", "NONE", "--body", "{}"], "known are GENERATIVE"),
        (["submit", "--template", "nosuch"], "no template 'nosuch' is stored"),
        (["list", "--status", "lost"], "is none of waiting"),
        (["show", '{"$gt": ""}'], "is no id"),
        (["nosuch"], "No such command"),
    ],
)
def test_a_bad_request_ends_with_2(agent: Agent, arguments: list[str], expected: str) -> None:
    """What is wrong with it stands on stderr, without a traceback."""
    done = agent(*arguments)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert "Traceback" not in done.err


def test_a_wrong_setting_ends_with_78(agent: Agent) -> None:
    """In one line that names the variable."""
    done = agent("list", AGENT_BATCH_SIZE="many")
    assert (done.code, done.out, len(done.err.splitlines())) == (78, "", 1)
    assert done.err.startswith("agent: AGENT_BATCH_SIZE: ")


def test_mongodb_away_ends_with_69(agent: Agent) -> None:
    """And its password is not told."""
    uri = f"mongodb://root:hush@127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    done = agent("list", MONGODB_URI=uri)
    assert (done.code, done.out) == (69, "")
    assert done.err.startswith("agent: MongoDB: ")
    assert "hush" not in done.err


def test_redis_is_not_needed(agent: Agent) -> None:
    """A context is stored and everything can be looked at; status says that Redis is away."""
    away = f"redis://:hush@127.0.0.1:{free_port()}/0"
    agent.environment["REDIS_URL"] = away
    context_id = agent.submit()
    assert agent("show", context_id).code == 0
    done = agent("status")
    assert (done.code, done.err) == (0, "")
    assert "redis: away" in done.out
    assert "hush" not in done.out
    assert agent("status", "--json").json["services"]["GENERATIVE"]["workers"] is None


def test_wait_ends_when_the_time_is_over(agent: Agent) -> None:
    """Exit code 3; the id is printed all the same."""
    done = agent("submit", "--service", "ANALYSIS", "--body", "{}", "--wait", "0.1")
    assert (done.code, done.out.startswith("ctx_")) == (3, True)
    assert "pending after 0.1 s" in done.err


def test_cancel_and_retry(agent: Agent) -> None:
    """Each id by itself: one that is wrong costs only itself, and the exit code."""
    first, second = agent.submit(), agent.submit()
    done = agent("cancel", first, "nosuch", second)
    assert (done.code, done.out) == (1, f"{first} cancelled\n{second} cancelled\n")
    assert done.err == "agent: no context 'nosuch'\n"
    again = agent("retry", first, "--fresh-key")
    assert (again.code, again.out) == (0, f"{first} pending, under a new idempotency key\n")
    assert agent("retry", first).code == 1
    assert agent("retry", second, "--json").json == {"retried": [second]}


def test_run_now(agent: Agent) -> None:
    """What was to wait waits no longer."""
    context_id = agent.submit("--at", "+1h")
    assert agent("run-now", context_id).out == f"{context_id} pending\n"


def test_pause_and_resume(agent: Agent) -> None:
    """A service is closed by hand, and everybody who asks is told why."""
    context_id = agent.submit()
    agent("pause", "generative", "--reason", "new [bold] key", "--for", "15m")
    assert "GENERATIVE: paused by operator until " in agent("status").out
    pause = agent("status", "--json").json["services"]["GENERATIVE"]["pause"]
    assert (pause["by"], pause["reason"]) == ("operator", "new [bold] key")
    assert agent("resume", "GENERATIVE").out == "GENERATIVE is open again\n"
    assert agent("resume", "GENERATIVE", "--json").json["was_paused"] is False
    assert "no bridge leads" in agent("show", context_id).out.replace("\n", " ")


def test_an_object_id_is_found_by_its_digits_and_as_extended_json(
    agent: Agent, database: Contexts
) -> None:
    """Documents of other programs have ids of any kind."""
    object_id = ObjectId()
    database["contexts"].insert_many([a_context(_id=object_id), a_context(_id=17)])
    shown = agent("show", str(object_id), "--json").json
    assert shown["_id"] == {"$oid": str(object_id)}
    assert agent("show", json.dumps(shown["_id"]), "--json").json == shown
    assert agent("cancel", "17").out == "17 cancelled\n"
    assert str(object_id) in agent("list").out


def test_list_filters(agent: Agent, database: Contexts) -> None:
    """The newest first, by service and status, without what they carry."""
    database["contexts"].insert_many(
        [a_context(_id="a", service_type="ANALYSIS", status="failed",
                   error={"type": "Forbidden", "message": "no"}),
         a_context(_id="b", created_at=LONG_AGO.replace(year=2025)), a_context(_id="c")]
    )  # fmt: skip
    newest = agent("list", "--limit", "2", "--json").json
    assert (len(newest), newest[0]["_id"]) == (2, "b")
    assert [found["_id"] for found in agent("list", "--status", "FAILED", "--json").json] == ["a"]
    assert "Forbidden: no" in agent("list").out
    assert agent("list", "--service", "COMMUNICATION").out == "no such context\n"


def test_nothing_that_somebody_wrote_reaches_the_terminal(agent: Agent, database: Contexts) -> None:
    """Neither markup nor escape sequences of services and producers are obeyed."""
    evil = "\x1b]0;owned\x07[red]\u202e"
    error = {"type": evil, "message": evil}
    attempt = {"number": 1, "outcome": evil, "worker": evil, "error": error}
    database["contexts"].insert_one(
        a_context(_id=f"x{evil}", status="failed", error=error, attempts=[attempt],
                  results={evil: evil}, tags={evil: evil}, processed_by=evil)
    )  # fmt: skip
    outputs = [agent("list").out, agent("show", f"x{evil}").out]
    for output in outputs:
        assert not [c for c in output if c not in "\n" and not c.isprintable()]
        assert "[red]" in output


def test_templates_are_stored_from_a_folder(agent: Agent, tmp_path: Path) -> None:
    """A file that is wrong is named and costs only itself; the others can be used."""
    good: dict[str, Any] = {"id": "hello", "service_type": "GENERATIVE", "service_template": {}}
    (tmp_path / "good.json").write_text(json.dumps(good))
    (tmp_path / "wrong.json").write_text("{}")
    done = agent("templates", "load", ".")
    assert (done.code, done.out) == (1, "hello 1.0 (GENERATIVE)\n")
    assert "wrong.json: `id` is missing" in done.err
    assert agent("submit", "--template", "hello").code == 0


def test_a_reader_that_leaves_is_no_error(process_environment: dict[str, str]) -> None:
    """`agent --help | head -1` ends without a traceback."""
    with subprocess.Popen(
        [str(AGENT), "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=process_environment,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
