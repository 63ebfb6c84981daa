"""What failed, as people list it, and begin it anew or cancel it in one go."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections import Counter
from typing import Any

import pytest
from pymongo.database import Database

from agent.fingerprint import fingerprint_of
from agent.models import Document
from tests.acceptance.commands import AGENT, LONGEST_SECONDS, Agent
from tests.factories import a_context
from tests.integration.store.failures import a_failure
from tests.waiting import wait_until

Contexts = Database[Document]
KIND = fingerprint_of("ServiceRejected", "no")
OLD = "2024-06-01T00:00:00Z"
"""After everything that failed in these tests."""


@pytest.fixture
def failures(database: Contexts) -> Contexts:
    """Three of one kind, one of another, of another service."""
    database["contexts"].insert_many(
        [
            *(a_failure(_id=f"r{n}", second=n, tags={"team": "north"}) for n in range(3)),
            a_failure("Forbidden", "key 'abc' may not", _id="f", service_type="ANALYSIS"),
            a_context(_id="done", status="completed"),
        ]
    )
    return database


def generations(database: Contexts) -> Counter[tuple[Any, Any]]:
    found = database["contexts"].find({}, {"generation": 1, "status": 1})
    return Counter((each["generation"], each["status"]) for each in found)


def test_what_failed_is_listed_by_kind(agent: Agent, failures: Contexts) -> None:
    """The most numerous first, with an example that show finds."""
    done = agent("dead", COLUMNS="160")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["kind", "service", "count", "first", "last", "example", "error"]
    assert lines[2].split()[:3] == [KIND, "GENERATIVE", "3"]
    assert "r2  " in lines[2]
    assert "Forbidden: key 'abc' may not" in lines[3]
    found = agent("dead", "--json").json
    assert [(each["kind"], each["count"], each["is_exact"]) for each in found["kinds"]] == [
        (KIND, 3, True), (fingerprint_of("Forbidden", "key 'abc' may not"), 1, True),
    ]  # fmt: skip
    assert found["is_complete"] is True


def test_the_list_is_narrowed(agent: Agent, failures: Contexts) -> None:
    """By service, in any case of letters, and by when it failed."""
    assert [each["count"] for each in agent("dead", "--service", "analysis", "--json").json["kinds"]
            ] == [1]  # fmt: skip
    assert agent("dead", "--since", "1h").out == "nothing failed\n"
    assert len(agent("dead", "--since", "2024-01-01", "--json").json["kinds"]) == 2


def test_all_of_a_kind_are_begun_anew(agent: Agent, failures: Contexts) -> None:
    """After a look at how many they are."""
    arguments = ("retry", "--all", "--kind", KIND, "--tag", "team=north", "--until", OLD)
    assert agent(*arguments, "--dry-run").out == "would retry 3 contexts\n"
    assert agent(*arguments, "--dry-run", "--json").json == {"matching": 3, "is_exact": True}
    assert generations(failures)[(1, "pending")] == 0
    done = agent(*arguments, "--yes")
    assert (done.code, done.out, done.err) == (0, "3 contexts retried\n", "")
    assert generations(failures) == {(1, "pending"): 3, (0, "failed"): 1, (0, "completed"): 1}
    assert agent(*arguments, "--yes").out == "no such context\n"


def test_programs_are_told_the_counts(agent: Agent, failures: Contexts) -> None:
    """And up to when, so that the same can be asked for again."""
    done = agent("retry", "--all", "--yes", "--json", "--rate", "1000", "--limit", "3").json
    until = done.pop("until")["$date"]
    assert done == {"matched": 3, "retried": 3, "skipped": {}}
    again = agent("retry", "--all", "--until", until, "--yes", "--json").json
    assert again["retried"] == 1


def test_all_that_match_are_cancelled(agent: Agent, database: Contexts) -> None:
    """What is final stays; a single service is left out."""
    database["contexts"].insert_many(
        [a_context(status=status) for status in ("pending", "scheduled", "completed")]
        + [a_context(service_type="ANALYSIS")]
    )
    done = agent("cancel", "--all", "--service", "generative", "--yes", "--json")
    assert (done.code, done.json["cancelled"]) == (0, 2)
    assert Counter(each["status"] for each in database["contexts"].find()) == {
        "cancelled": 2, "completed": 1, "pending": 1,
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_nobody_changes_many_by_mistake(agent: Agent, failures: Contexts, verb: str) -> None:
    """Where nobody can be asked it has to be said."""
    failures["contexts"].insert_one(a_context(_id="open"))
    before = generations(failures)
    for arguments, told in {
        (): "add --yes",
        ("--status", "completed", "--yes"): "status: ",
        ("--rate", "0", "--yes"): "rate: ",
    }.items():
        done = agent(verb, "--all", *arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert told in done.err
    assert generations(failures) == before


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 4), ("\n", 1, 4)])
def test_people_are_asked(
    process_environment: dict[str, str], failures: Contexts, answer: str, code: int, left: int
) -> None:
    """With the number, on stderr; without a yes nothing happens."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    done = subprocess.run(
        [str(AGENT), "retry", "--all", "--json"],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        env=process_environment,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code
    assert "retry 4 contexts?" in done.stderr
    assert failures["contexts"].count_documents({"status": "failed"}) == left
    assert (json.loads(done.stdout)["retried"] == 4) if left == 0 else (done.stdout == "")


def test_a_run_that_is_killed_is_run_again(
    agent: Agent, process_environment: dict[str, str], database: Contexts
) -> None:
    """Each context is begun anew exactly once, before or after."""
    total = 1000
    database["contexts"].insert_many([a_failure(second=n) for n in range(total)])
    with subprocess.Popen(
        [str(AGENT), "retry", "--all", "--yes", "--rate", "100"],
        env=process_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until(lambda: generations(database)[(1, "pending")] > 0, LONGEST_SECONDS)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    again = agent("retry", "--all", "--yes", "--json")
    assert again.code == 0
    assert 0 < again.json["retried"] < total
    # the server may still have been at the last batch of the one that was killed
    wait_until(lambda: generations(database) == {(1, "pending"): total})


def test_contexts_are_listed_by_kind_and_tag(agent: Agent, failures: Contexts) -> None:
    """As agent dead and the producers name them."""
    done = agent("list", "--kind", KIND, "--tag", "team=north", "--since", "2024-01-01", "--json")
    assert {each["_id"] for each in done.json} == {"r0", "r1", "r2"}
    assert agent("list", "--error", "Forbidden", "--since", "1h").out == "no such context\n"


def test_nothing_that_a_service_said_reaches_the_terminal(agent: Agent, database: Contexts) -> None:
    """Neither markup nor escape sequences are obeyed."""
    evil = "\x1b]0;owned\x07[red]\u202e"
    database["contexts"].insert_one(a_failure(evil, evil, _id=f"x{evil}", service_type=evil))
    output = agent("dead").out
    assert not [each for each in output if each not in "\n" and not each.isprintable()]
    assert "[red]" in output
