"""The commands for schedules, on a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pymongo.database import Database

from agent.models import Document
from tests.acceptance.commands import Agent

REQUEST = json.dumps({"template": {"service_type": "ANALYSIS", "service_template": {}}})


def add(agent: Agent, name: str, *arguments: str) -> Any:
    """Store a schedule; as it is stored."""
    done = agent("schedules", "add", name, "--request", REQUEST, *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return done.json


def test_a_schedule_is_stored_shown_and_removed(agent: Agent, database: Database[Document]) -> None:
    """In words for people, and in JSON for programs."""
    stored = add(agent, "mornings", "--cron", "30 7 * * mon-fri", "--timezone", "Europe/Berlin")
    assert (stored["_id"], stored["catch_up"], stored["fired"]) == ("mornings", "one", 0)
    add(agent, "often", "--every", "15m", "--catch-up", "all", "--paused")
    listed = agent("schedules", "list")
    assert "30 7 * * mon-fri (Europe/Berlin)" in listed.out
    assert "every 900.0 s" in listed.out
    assert [each["_id"] for each in agent("schedules", "list", "--json").json] == [
        "mornings", "often",
    ]  # fmt: skip
    shown = agent("schedules", "show", "mornings")
    assert '"service_type": "ANALYSIS"' in shown.out
    assert agent("schedules", "show", "mornings", "--json").json == stored
    assert agent("schedules", "remove", "mornings").out == "mornings is removed\n"
    assert [each["_id"] for each in database["schedules"].find()] == ["often"]
    gone = agent("schedules", "show", "mornings")
    assert (gone.code, gone.err) == (1, "agent: no schedule 'mornings'\n")


def test_its_next_times_are_shown_in_both_zones(agent: Agent) -> None:
    """In UTC, and as its own clock shows them."""
    add(agent, "sundays", "--cron", "30 2 * * 7", "--timezone", "Europe/Berlin")
    lines = agent("schedules", "next", "sundays", "-n", "3").out.splitlines()
    assert len(lines) == 3
    assert all(" UTC  Sun " in line for line in lines)
    assert all(line.endswith(":00 Europe/Berlin") for line in lines)
    assert len(agent("schedules", "next", "sundays", "--json").json) == 5


def test_it_is_paused_resumed_and_run_at_once(agent: Agent, database: Database[Document]) -> None:
    """What it is run for is a context like any other."""
    add(agent, "often", "--every", "1h")
    assert agent("schedules", "pause", "often").out == "often is paused\n"
    run = agent("schedules", "run", "often")
    assert run.code == 0
    context = database["contexts"].find_one({"_id": run.out.strip()})
    assert context is not None
    assert context["source"] == "schedule"
    assert agent("schedules", "resume", "often").out.startswith("often is due at 20")
    assert agent("schedules", "show", "often", "--json").json["last_ids"] == [context["_id"]]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--cron", "61 * * * *"), "minute"),
        (("--cron", "* * * * *", "--every", "1h"), "one of them"),
        ((), "one of them"),
        (("--every", "often"), "--every"),
        (("--every", "1h", "--catch-up", "some"), "catch_up"),
        (("--cron", "* * * * *", "--timezone", "Nowhere"), "timezone"),
    ],
)
def test_a_schedule_that_is_wrong_is_one_line_and_exit_2(
    agent: Agent, arguments: tuple[str, ...], problem: str
) -> None:
    """Which names the field."""
    done = agent("schedules", "add", "s", "--request", REQUEST, *arguments)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
    assert done.err.count("\n") == 1


def test_a_name_is_taken_once_unless_it_is_replaced(agent: Agent) -> None:
    """So that no schedule goes away by mistake."""
    add(agent, "s", "--every", "1h")
    again = agent("schedules", "add", "s", "--request", REQUEST, "--every", "2h")
    assert (again.code, again.err) == (1, "agent: there is a schedule 's' already\n")
    assert add(agent, "s", "--every", "2h", "--replace")["every_seconds"] == 7200
