"""Templates that list steps: what is read, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agent.errors import RequestInvalid
from agent.intake.template_steps import MAX_STEPS, read_steps
from agent.intake.templates import read_any
from agent.models import Step
from agent.services import ServiceRegistry

REGISTRY = ServiceRegistry()


def a_step(key: str, *after: str, **fields: Any) -> dict[str, Any]:
    """A step as a template has it."""
    return {
        "key": key,
        "service_type": "generative",
        "service_template": {"prompt": "Hi"},
        **({"after": list(after)} if after else {}),
        **fields,
    }


def read(*steps: Any) -> tuple[Step, ...]:
    return read_steps(list(steps), template_id="t", version="1.0", registry=REGISTRY)


def refused(*steps: Any) -> str:
    """Why a list of steps is refused."""
    with pytest.raises(RequestInvalid) as caught:
        read(*steps)
    return str(caught.value)


def test_the_steps_of_a_campaign_are_read() -> None:
    """In the order in which they stand there, each with its template and what it waits for."""
    send = a_step(
        *("send", "draft", "score", "draft"),
        service_type="Communication",
        service_template={"message": "{{ inputs.draft.text }} {{ inputs.score.x }} {{name}}"},
        on_failure="continue",
        priority=2,
        max_attempts=3,
        description="To everybody",
    )
    score = a_step("score", "draft", service_type="ANALYSIS")
    steps = read(send, a_step("draft"), score)
    assert [(step.key, step.after) for step in steps] == [
        ("send", ("draft", "score")),
        ("draft", ()),
        ("score", ("draft",)),
    ]
    first = steps[0]
    assert (first.on_failure, first.priority, first.max_attempts) == ("continue", 2, 3)
    assert steps[1].on_failure == "cancel"
    assert first.template.model_dump() == {
        "id": "t",
        "version": "1.0",
        "service_type": "COMMUNICATION",
        "service_template": send["service_template"],
        "parameters": None,
    }


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([a_step("a", service_type="poetry")], "step 'a': `service_type` is 'poetry'; known are"),
        ([a_step("a"), a_step("b"), a_step("a")], "2 steps have the key 'a'"),
        ([a_step("a", "scoer"), a_step("score")], "'a': `after` names 'scoer', which is no step; "
         "there are a, score"),
        ([a_step("a", "b", "c")], "'a': `after` names 'b', 'c', which are no steps; there are a"),
        ([a_step("a", "a")], "steps wait for each other: a → a"),
        ([a_step("a", "b"), a_step("b", "a")], "steps wait for each other: a → b → a"),
        ([a_step("x", "a"), a_step("a", "c", "r"), a_step("b", "a"), a_step("c", "b"), a_step("r")],
         "steps wait for each other: a → c → b → a"),
        ([a_step("a", colour="red", shape=1)], "step 'a': 'colour' is no field of a step; there"),
        ([a_step("a", on_failure="ignore")], "step 'a': `on_failure`: Input should be 'cancel' or"),
        ([a_step("a", after="b")], "step 'a': `after`: Input should be a valid list"),
        ([a_step("a", max_attempts=0)], "`max_attempts`: Input should be greater"),
        ([a_step("a", priority=11)], "`priority`: Input should be less"),
        ([a_step("a.b")], "step 'a.b': `key` must be up to 60 letters"),
        ([a_step("a\n")], "`key` must be"),
        ([a_step("")], "`key` must be"),
        ([{"key": "a"}], "step 'a': `service_type` is missing; `service_template` is missing"),
        ([{}], "step 1: `key` is missing"),
        (["draft"], "step 1: is a string, not an object"),
        ([a_step("a", service_template=[])], "`service_template`: Input should be a valid dict"),
    ],
)  # fmt: skip
def test_steps_that_cannot_be_carried_out_say_why(steps: list[Any], expected: str) -> None:
    """Names stand there in full, so that they can be looked for."""
    assert expected in refused(*steps)


def test_every_step_that_is_wrong_is_named() -> None:
    """And what refers to one of them is not wrong by that."""
    message = refused(a_step("a", service_type="x"), a_step("b", "a"), a_step("c", shape=1))
    assert message.startswith("step 'a': ")
    assert "; step 'c': " in message
    assert "'b'" not in message


def test_an_input_of_a_step_that_need_not_be_over_is_refused() -> None:
    """It might be filled in today and be missing tomorrow."""
    body = {"a": ["{{ inputs.other.text }}", "{{ inputs.first.text }}", "{{ inputs.own.x }}"]}
    steps = [a_step("first"), a_step("middle", "first"), a_step("other")]
    message = refused(*steps, a_step("own", "middle", service_template=body))
    assert message == (
        "step 'own': {{ inputs.other.text }}, {{ inputs.own.x }} is of no step that it comes "
        "after; it comes after first, middle"
    )


@pytest.mark.parametrize(
    ("steps", "expected"), [([], "an empty list"), ({"a": 1}, "an object"), ("draft", "a string")]
)
def test_what_is_no_list_of_steps_says_so(steps: Any, expected: str) -> None:
    """Instead of a list of what each would need."""
    with pytest.raises(RequestInvalid, match=f"^`steps` is {expected}"):
        read_any({"id": "t", "steps": steps}, REGISTRY)


def test_as_many_steps_as_allowed_are_read_and_more_are_refused_at_once() -> None:
    """Whether each waits for the one before, or for all of them."""
    chain = [a_step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(MAX_STEPS)]
    assert len(read(*chain)) == MAX_STEPS
    full = [a_step(f"s{n}", *(f"s{m}" for m in range(n))) for n in range(MAX_STEPS)]
    assert len(read(*full)) == MAX_STEPS
    chain[0]["after"] = [f"s{MAX_STEPS - 1}"]
    assert refused(*chain).count("→") == MAX_STEPS
    began = time.monotonic()
    assert "it lists 10000 steps; at most 500" in refused(*(chain * 20))
    assert time.monotonic() - began < 5


def test_very_many_problems_are_counted() -> None:
    """The message stays legible."""
    message = refused(*({"key": f"s{n}", "x": 1} for n in range(MAX_STEPS)))
    assert message.endswith("and 480 more problems")
