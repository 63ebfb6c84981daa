"""Purposes: what is read, and which of them a text chooses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import PurposeUnclear, RequestInvalid
from agent.intake.purposes import Match, Purpose, choose, read_purpose, read_purposes, words_of
from agent.services import ServiceRegistry

REGISTRY = ServiceRegistry()
OLD = {
    "service_type": "generative",
    "template_id": "greeting",
    "keywords": ["welcome", "Say Hello", "welcome"],
    "description": "Greets people",
    "owner": "Ann",
}


def a_purpose(purpose_id: str, *keywords: str) -> Purpose:
    return read_purpose(purpose_id, {"template_id": "t", "keywords": list(keywords)}, REGISTRY)


def chosen(text: str, **keywords: list[str]) -> Match:
    """What a text chooses of purposes with these keywords."""
    return choose(text, [a_purpose(name, *words) for name, words in keywords.items()])


def test_a_purpose_of_the_old_system_is_read() -> None:
    """Other fields are kept, and the stored one reads alike."""
    purpose = read_purpose("greet", OLD, REGISTRY)
    assert (purpose.template_id, purpose.service_type) == ("greeting", "GENERATIVE")
    assert purpose.phrases == {("welcome",), ("say", "hello")}
    assert purpose.document == OLD
    assert read_purpose("greet", {**purpose.document, "_id": "greet"}, REGISTRY) == purpose


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ([], "is a list, not an object"),
        ({}, "`template_id` is missing"),
        ({**OLD, "service_type": "poetry"}, "`service_type` is 'poetry'; known are GENERATIVE"),
        ({**OLD, "keywords": "welcome"}, "`keywords` is a string, not a list of strings"),
        ({**OLD, "keywords": ["a", 1]}, "`keywords` is a list of other things"),
        ({**OLD, "keywords": ["a", "!?"]}, "`keywords`: no word stands in '!?'"),
        ({**OLD, "defaults": []}, "`defaults`: Input should be a valid dictionary"),
        ({**OLD, "defaults": {"priority": 0}}, "`defaults.priority`: Input should be greater"),
        (
            {**OLD, "defaults": {"colour": 1}},
            "`defaults.colour`: is no default; there are priority",
        ),
    ],
)
def test_a_purpose_that_is_wrong_says_why(entry: Any, expected: str) -> None:
    """When it is loaded, not when somebody asks for it."""
    with pytest.raises(RequestInvalid) as caught:
        read_purpose("p", entry, REGISTRY)
    assert expected in str(caught.value)


def test_a_wrong_purpose_costs_only_itself() -> None:
    """The others of its file are read."""
    purposes, problems = read_purposes({"a": OLD, "b": {}, "": OLD, "c": OLD}, REGISTRY)
    assert [purpose.id for purpose in purposes] == ["a", "c"]
    assert problems == [
        "purpose 'b': `template_id` is missing or no string",
        "purpose '': its id is empty",
    ]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("A WELCOME campaign, please", 1),
        ("welcome welcome", 1),
        ("Say  hello!", 2),
        ("say-hello and welcome", 3),
        ("ＷＥＬＣＯＭＥ", 1),  # noqa: RUF001 - another form of the same letters
    ],
)
def test_the_score_is_the_words_of_the_keywords_in_the_text(text: str, score: int) -> None:
    """Each keyword counts once, in any case of letters, whatever parts its words."""
    match = chosen(text, greet=["Welcome", "say HELLO"])
    assert (match.purpose.id, match.score, match.runner_up) == ("greet", score, None)


@pytest.mark.parametrize("text", ["", "welcomed", "unwelcome", "hello say", "say to all hello"])
def test_only_whole_words_in_their_order_count(text: str) -> None:
    """A part of a word is another word."""
    with pytest.raises(PurposeUnclear, match="no keyword of a purpose; there are greet"):
        chosen(text, greet=["welcome", "say hello"])


def test_the_best_wins_and_the_next_best_is_told() -> None:
    """A longer phrase weighs more than one of its words."""
    match = chosen(
        "send the monthly report", mail=["send"], report=["monthly report"], other=["yearly"]
    )
    assert (match.purpose.id, match.score, match.runner_up) == ("report", 2, ("mail", 1))


def test_a_tie_is_no_choice() -> None:
    """The message lists those that are alike."""
    with pytest.raises(PurposeUnclear, match=r"alike, with score 1: mail, report; name one"):
        chosen("send a report", report=["report"], mail=["send"], other=["yearly"])


def test_no_match_lists_the_candidates() -> None:
    """Ten of them, and how many more; or that there is none."""
    with pytest.raises(PurposeUnclear, match=r"there are p00, .*, p09 and 5 more$"):
        chosen("hello", **{f"p{n:02}": [] for n in range(15)})
    with pytest.raises(PurposeUnclear, match="no purpose is stored"):
        chosen("hello")


@given(st.text(), st.text())
def test_a_text_holds_each_of_its_words(text: str, more: str) -> None:
    """Whatever the language: what is a word of a keyword is one of the text."""
    for word in words_of(text):
        assert chosen(f"{more} {text} {more}", p=[word]).purpose.id == "p"
