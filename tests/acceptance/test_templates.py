"""The commands for templates and purposes, on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pymongo.database import Database

from agent.models import Document
from tests.acceptance.commands import Agent

GREETING: dict[str, Any] = {
    "id": "greeting",
    "version": "1.9",
    "service_type": "generative",
    "generative_template": {"prompt": "Greet {{product_name}}"},
    "parameters": [{"name": "name", "type": "string", "required": True}],
    "owner": "Ann",
}
CAMPAIGN: dict[str, Any] = {
    "id": "campaign",
    "steps": [
        {"key": "draft", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}},
        {
            "key": "send",
            "service_type": "COMMUNICATION",
            "service_template": {"message": "{{ inputs.draft.text }}"},
            "after": ["draft"],
        },
    ],
}
PURPOSES: dict[str, Any] = {
    "greet": {
        "service_type": "GENERATIVE",
        "template_id": "greeting",
        "keywords": ["greet", "say hello"],
        "description": "Greets\u001b people",
    },
    "later": {"service_type": "ANALYSIS", "template_id": "gone", "keywords": ["hello"]},
    "wrong": {"service_type": "POETRY", "template_id": "greeting", "keywords": ["x"]},
}


def write(folder: Path, **contents: Any) -> None:
    """A JSON file for each, by its name."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text)


def test_a_folder_of_templates_is_loaded_file_by_file(agent: Agent, tmp_path: Path) -> None:
    """What is wrong is named with its file, and costs only itself."""
    circle = json.loads(json.dumps(CAMPAIGN))
    circle["steps"][0]["after"] = ["send"]
    many = {"id": "many", "steps": CAMPAIGN["steps"] * 5000}
    write(
        tmp_path / "t", a=GREETING, b=CAMPAIGN, c=circle, d="{", e=many,
        f={**GREETING, "id": "huge", "limit": 2**70},
    )  # fmt: skip
    done = agent("templates", "load", "t")
    assert done.code == 1
    assert done.out == "greeting 1.9 (GENERATIVE)\ncampaign 1.0 (2 steps: draft, send)\n"
    lines = done.err.splitlines()
    expected = [
        "agent: t/c.json: steps wait for each other: draft → send → draft",
        "agent: t/d.json: is not JSON",
        "agent: t/e.json: it lists 10000 steps; at most 500",
        "agent: t: template 'huge' version '1.9' cannot be stored: ",
    ]
    assert len(lines) == len(expected)
    assert all(line.startswith(words) for line, words in zip(lines, expected, strict=True))


def test_loaded_templates_are_listed_and_shown(
    agent: Agent, tmp_path: Path, database: Database[Document]
) -> None:
    """Those of the collection by id and version, then those of folders."""
    write(tmp_path / "t", a=GREETING, b={**GREETING, "version": "1.10"}, c=CAMPAIGN)
    write(tmp_path / "mine", d={**GREETING, "id": "other"}, e="{")
    assert agent("templates", "list").out == "no template is there\n"
    assert agent("templates", "load", "t").code == 0
    database["templates"].insert_one({"_id": "old", "service_type": "ANALYSIS"})
    listed = agent("templates", "list", AGENT_TEMPLATES="mine")
    assert (listed.code, "warning: mine/e.json: is not JSON" in listed.err) == (0, True)
    rows = agent("templates", "list", "--json", AGENT_TEMPLATES="mine").json
    assert [(row["id"], row["version"], row["from"]) for row in rows] == [
        ("campaign", "1.0", "collection"),
        ("greeting", "1.9", "collection"),
        ("greeting", "1.10", "collection"),
        ("old", "1.0", "collection"),
        ("other", "1.9", "file"),
    ]
    assert all(row["id"] in listed.out for row in rows)
    assert "2 steps: draft, send" in listed.out
    shown = agent("templates", "show", "greeting")
    assert shown.out.startswith("greeting 1.10 (GENERATIVE)\n  data.name: string, required\n{")
    document = agent("templates", "show", "greeting", "--version", "1.9", "--json").json
    assert (document["version"], document["owner"]) == ("1.9", "Ann")
    assert document["service_template"] == GREETING["generative_template"]
    assert '"key": "send"' in agent("templates", "show", "campaign").out


def test_a_template_that_is_not_there_ends_with_1(agent: Agent) -> None:
    """In one line."""
    done = agent("templates", "show", "nope")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("agent: no template 'nope' is stored")


def test_a_file_of_purposes_is_loaded_entry_by_entry(agent: Agent, tmp_path: Path) -> None:
    """One that is wrong costs only itself; a template that is not there yet is a warning."""
    write(tmp_path / "t", a=GREETING)
    write(tmp_path, purposes=PURPOSES, right={"greet": PURPOSES["greet"]}, wrong=[1], none={})
    agent("templates", "load", "t")
    done = agent("purposes", "load", "purposes.json")
    assert (done.code, done.out) == (1, "greet (greeting)\nlater (gone)\n")
    assert done.err.splitlines() == [
        "agent: purposes.json: purpose 'wrong': `service_type` is 'POETRY'; known are GENERATIVE, "
        "ANALYSIS, COMMUNICATION",
        "agent: warning: purpose 'later': no template 'gone' is there yet",
    ]
    done = agent("purposes", "load", "right.json", "--json")
    assert (done.code, done.json) == (0, {"stored": ["greet"], "problems": [], "warnings": []})
    assert agent("purposes", "load", "wrong.json").err == (
        "agent: wrong.json: holds a list, not an object\n"
    )
    assert agent("purposes", "load", "none.json").code == 1
    assert agent("purposes", "load", "nowhere.json").code == 2
    listed = agent("purposes", "list").out
    assert "say hello" in listed
    assert "\u001b" not in listed
    assert [each["_id"] for each in agent("purposes", "list", "--json").json] == ["greet", "later"]


def test_a_request_is_for_a_purpose_by_its_id_or_by_its_words(
    agent: Agent, tmp_path: Path, database: Database[Document]
) -> None:
    """The context tells which was chosen, and why."""
    write(tmp_path / "t", a=GREETING)
    write(tmp_path, purposes={name: PURPOSES[name] for name in ("greet", "later")})
    agent("templates", "load", "t")
    assert agent("purposes", "load", "purposes.json").code == 0
    data = ("--data", '{"name": "Ada"}')
    by_id = agent("submit", "--purpose", "greet", *data).out.strip()
    by_words = agent("submit", "--text", "Please say HELLO", *data).out.strip()
    found = [database["contexts"].find_one({"_id": each}) for each in (by_id, by_words)]
    selections = [each["request"]["selection"] for each in found if each is not None]
    assert [each["by"] for each in selections] == ["purpose_id", "keywords"]
    assert selections[1]["score"] == 2
    assert selections[1]["runner_up"] == {"purpose_id": "later", "score": 1}
    for arguments, expected in (
        (("--text", "Good night", *data), "there are greet, later"),
        (("--purpose", "later"), "no template 'gone' is stored"),
        (("--purpose", "greet"), "`data.name` is missing, a string"),
    ):
        done = agent("submit", *arguments)
        assert (done.code, done.out) == (2, "")
        assert expected in done.err


def test_a_template_of_steps_becomes_a_parent_and_its_steps(
    agent: Agent, tmp_path: Path, database: Database[Document]
) -> None:
    """Each step carries the request, and what was chosen."""
    write(tmp_path / "t", a=CAMPAIGN)
    agent("templates", "load", "t")
    parent_id = agent("submit", "--template", "campaign", "--user", "u1").out.strip()
    steps = list(database["contexts"].find({"parent_id": parent_id}, sort=[("step", 1)]))
    assert [(each["step"], each["service_type"]) for each in steps] == [
        ("draft", "GENERATIVE"), ("send", "COMMUNICATION"),
    ]  # fmt: skip
    for each in steps:
        assert each["template"]["id"] == "campaign"
        assert each["request"]["user_id"] == "u1"
        assert each["request"]["selection"]["template_id"] == "campaign"
