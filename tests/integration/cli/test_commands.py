"""Commands that submit once, change the terms of what waits, and look at services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymongo.database import Database

from agent.models import Document
from agent.projections.connection import connect_redis
from agent.projections.doorbell import Listener, doorbell_channel
from agent.settings import Settings
from tests.factories import a_context
from tests.integration.cli.conftest import Commands
from tests.waiting import wait_until

Contexts = Database[Document]
HI = ("submit", "--service", "GENERATIVE", "--body", '{"prompt": "Hi"}')
SOON = 20.0


@pytest.fixture
def rings(settings: Settings) -> Iterator[list[str]]:
    """What is rung for the bridge."""
    heard: list[str] = []
    client = connect_redis(settings, max_connections=2, name="test")
    channel = doorbell_channel(settings.namespace)
    listener = Listener(client, [channel], lambda _, text: heard.append(text))
    listener.start()
    assert listener.wait_until_connected(SOON)
    yield heard
    listener.stop()
    client.close()


def test_what_comes_twice_under_one_key_is_stored_once(agent: Commands, database: Contexts) -> None:
    """The same request prints the same id; another one under its key is refused."""
    first = agent(*HI, "--idempotency-key", "order-1")
    again = agent(*HI, "--idempotency-key", "order-1", "--json")
    other = agent(*HI, "--user", "u2", "--idempotency-key", "order-1")
    assert (first.code, again.code, other.code, other.out) == (0, 0, 2, "")
    assert again.json == {"_id": first.out.strip(), "existing": False}
    assert "another request came under this idempotency key" in other.err
    assert database["contexts"].count_documents({}) == 1


def test_a_time_that_is_counted_from_now_goes_with_no_key(agent: Commands) -> None:
    """It would be another request each time it is sent."""
    done = agent(*HI, "--at", "+1h", "--idempotency-key", "order-1")
    assert (done.code, done.out) == (2, "")
    assert "--at: '+1h' is another time whenever it is said" in done.err


def test_while_a_unique_key_is_held_there_is_no_second_request(agent: Commands) -> None:
    """The id of the first is printed, and that it is not new; once it is final the key is free."""
    first = agent(*HI, "--unique-key", "greet-ann")
    context_id = first.out.strip()
    again = agent(*HI, "--user", "u2", "--unique-key", "greet-ann")
    assert (again.code, again.out) == (0, first.out)
    assert again.err == f"agent: nothing new: {context_id} has this unique key, and is not final\n"
    told = agent(*HI, "--unique-key", "greet-ann", "--json")
    assert told.json == {"_id": context_id, "existing": True}
    agent("cancel", context_id)
    assert agent(*HI, "--unique-key", "greet-ann").out not in ("", first.out)


def test_terms_are_changed_while_it_waits(agent: Commands, database: Contexts) -> None:
    """Priority, time and deadline, each id by itself."""
    context_id = agent.submit("--at", "+1h")
    done = agent("priority", context_id, "nosuch", "2")
    assert (done.code, done.out, done.err) == (
        1, f"{context_id} priority 2\n", "agent: no context 'nosuch'\n",
    )  # fmt: skip
    later = agent("postpone", context_id, "2040-01-31T12:00:00Z")
    assert later.out == f"{context_id} waits until 2040-01-31 12:00:00 UTC\n"
    end = agent("deadline", context_id, "2040-02-01T00:00:00Z", "--json").json
    assert (end["changed"], end["deadline_at"]) == ([context_id], {"$date": "2040-02-01T00:00:00Z"})
    stored = database["contexts"].find_one({"_id": context_id})
    assert stored is not None
    assert (stored["priority"], stored["status"]) == (2, "scheduled")
    assert (stored["available_at"].year, stored["deadline_at"].month) == (2040, 2)
    assert agent("deadline", context_id, "none").out == f"{context_id} has no deadline\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("priority", "done", "11"), 2, "Invalid value for 'N'"),
        (("priority", "done", "1"), 1, "'done' is completed"),
        (("postpone", "done", "2020-01-01T00:00:00Z"), 2, "does not lie ahead; see agent run-now"),
        (("postpone", "done", "+1h"), 1, "'done' is completed, not scheduled"),
        (("deadline", "done", "2020-01-01T00:00:00Z"), 2, "has passed"),
        (("deadline", "done", "soon"), 2, "TIME: 'soon' is no time"),
        (("deadline", "done", "+1h"), 1, "'done' is completed"),
    ],
)
def test_terms_that_cannot_be_are_refused(
    agent: Commands, database: Contexts, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """A bad request ends with 2, what its status does not allow with 1."""
    database["contexts"].insert_one(a_context(_id="done", status="completed"))
    done = agent(*arguments)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("cancel", "open"), {"settle", "views"}),
        (("cancel", "--all", "--yes"), {"foreign", "settle", "views"}),
        (("retry", "bad"), {"foreign", "settle", "views"}),
        (("retry", "--all", "--yes"), {"foreign", "settle", "views"}),
        (("run-now", "open"), {""}),
        (("priority", "open", "1"), {""}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_bridge_is_rung_for_what_a_command_changed(
    agent: Commands,
    database: Contexts,
    rings: list[str],
    arguments: tuple[str, ...],
    expected: set[str],
) -> None:
    """Settle too, where a request of several steps may have been meant."""
    database["contexts"].insert_many(
        [a_context(_id="open", status="scheduled"), a_context(_id="bad", status="failed")]
    )
    assert agent(*arguments).code == 0
    wait_until(lambda: expected <= set(rings), SOON)
    assert set(rings) == expected


def test_services_are_listed_shown_paused_and_resumed(
    agent: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their limits; no key is told."""
    monkeypatch.setenv("GENERATION_BASE_API_KEY", "hush")
    monkeypatch.setenv("GENERATION_BASE_MAX_IN_FLIGHT", "7")
    agent.submit()
    assert agent("services", "pause", "generative", "--reason", "tests").code == 0
    listed, shown = agent("services", "list"), agent("services", "show", "generative")
    assert [line.split()[:4] for line in listed.out.splitlines()[-3:]] == [
        ["GENERATIVE", "paused", "0", "7"], ["ANALYSIS", "open", "0", "1000"],
        ["COMMUNICATION", "open", "0", "1000"],
    ]  # fmt: skip
    assert "paused by operator until somebody resumes it (tests)" in shown.out
    assert "1 pending" in shown.out
    assert "hush" not in listed.out + shown.out
    told = agent("services", "show", "generative", "--json").json
    assert (told["service"], told["max_in_flight"], told["has_api_key"]) == ("GENERATIVE", 7, True)
    assert agent("services", "list", "--json").json["GENERATIVE"]["pause"]["reason"] == "tests"
    assert agent("services", "resume", "generative").out == "GENERATIVE is open again\n"
    unknown = agent("services", "show", "nosuch")
    assert (unknown.code, "known are" in unknown.err) == (2, True)


def test_a_request_is_shown_with_its_steps(agent: Commands, database: Contexts) -> None:
    """For people and for programs; a step tells what it is a part of."""
    step = a_context(_id="whole_draft", parent_id="whole", step="draft", status="completed")
    whole = a_context(_id="whole", kind="parent", service_type="REQUEST", status="processing",
                      steps=["draft"])  # fmt: skip
    database["contexts"].insert_many([whole, step])
    shown = agent("show", "whole").out
    assert [line for line in shown.splitlines() if line.startswith("draft ")] != []
    [child] = agent("show", "whole", "--json").json["children"]
    assert (child["_id"], child["status"]) == ("whole_draft", "completed")
    assert ["part", "of", "whole,", "as", "draft"] in [
        line.split() for line in agent("show", "whole_draft").out.splitlines()
    ]
