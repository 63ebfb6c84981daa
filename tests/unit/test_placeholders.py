"""Placeholders in a template's body: what is filled in, and what stays as it is."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import PlaceholderMissing, RequestNotSendable
from agent.placeholders import MAX_FILLED_CHARACTERS, Reference, fill, references

INPUTS = {
    "draft": {"text": "Hello", "tags": ["a", {"b": "ü"}], "count": 3, "none": None, "two words": 1},
    "score-1": {"ok": True, "": "empty", "0": "zero"},
}
REQUEST = {"id": "req_1", "text": None, "data": {"name": "Ann", "when": datetime(2025, 3, 1, 12)}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False,
        allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = st.text(
    st.characters(exclude_characters=".{}", exclude_categories=["Cs", "Z", "Cc"]), min_size=1
)


def filled(body: Any, **namespaces: Any) -> Any:
    """A body filled in from the inputs and the request above."""
    return fill(body, **{"inputs": INPUTS, "request": REQUEST, **namespaces})


@pytest.mark.parametrize(
    ("placeholder", "expected"),
    [
        ("{{ inputs.draft.text }}", "Hello"),
        ("{{inputs.draft}}", INPUTS["draft"]),
        ("{{ inputs.draft.count }}", 3),
        ("{{ inputs.draft.none }}", None),
        ("{{\n inputs.score-1.ok\t}}", True),
        ("{{ inputs.draft.tags.1.b }}", "ü"),
        ("{{ inputs.draft.two words }}", 1),
        ("{{ inputs.score-1.0 }}", "zero"),
        ("{{ inputs.score-1. }}", "empty"),
        ("{{ request.text }}", None),
        ("{{ request.data.when }}", REQUEST["data"]["when"]),  # type: ignore[index]
    ],
)
def test_a_text_that_is_one_placeholder_becomes_its_value(placeholder: str, expected: Any) -> None:
    """Of whatever type it is."""
    assert expected == filled(placeholder)
    assert {"a": [expected]} == filled({"a": [placeholder]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dear {{ request.data.name }}: {{inputs.draft.text}}!", "Dear Ann: Hello!"),
        (" {{ inputs.draft.tags }}", ' ["a",{"b":"ü"}]'),
        ("{{ inputs.draft.none }}{{ inputs.score-1.ok }}", "nulltrue"),
        ("on {{ request.data.when }}", "on 2025-03-01T12:00:00Z"),
        ("{{{ inputs.draft.count }}}", "{3}"),
    ],
)
def test_within_a_text_a_value_is_put_in_as_text(text: str, expected: str) -> None:
    """Strings as they are, other values as compact JSON."""
    assert expected == filled(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "null"),
        ([float("inf"), 1.5], "[null,1.5]"),
        (ObjectId("6633a0f1c0ffee0000000017"), "6633a0f1c0ffee0000000017"),
        ([datetime(2025, 3, 1, tzinfo=UTC), Int64(2)], '["2025-03-01T00:00:00Z",2]'),
        ({"b": b"\0", "n": float("nan")}, '{"b":"AA==","n":null}'),
    ],
)
def test_what_json_does_not_have_is_written_as_in_a_body(value: Any, expected: str) -> None:
    """Dates as ISO 8601, NaN as null, an ObjectId by its digits."""
    assert f"={expected}" == filled("={{ inputs.x }}", inputs={"x": value})


@pytest.mark.parametrize(
    "text",
    ["{{product_name}}", "{{ name }}", "{{inputs}}", "{{ input.x }}", "{{ requests.id }}",
     "{{ inputs .x }}", "{ { inputs.x } }", "{{ inputs.x", "inputs.x }}", "{{ inputs.{{x}} }}",
     "{{ inputs.x }", "{% inputs.x %}", "${inputs.x}", "{{ Inputs.x }}", "{{ request[id] }}"],
)  # fmt: skip
def test_what_is_not_ours_stays_as_it_is(text: str) -> None:
    """Placeholders of the Base service's own, and whatever else has braces."""
    assert text == filled(text)
    assert references(text) == set()


def test_every_missing_value_is_named() -> None:
    """Once each, in the order of the body, with those that are not there in any way."""
    body = {
        "a": "{{ inputs.draft.nope }} {{ inputs.gone.text }}",
        "b": ["{{ request.data.name.x }}", "{{ inputs.draft.tags.2 }}", "{{inputs.gone.text}}"],
        "c": "{{ inputs.draft.tags.-1 }} {{ inputs.draft.text | upper }} {{ request.__class__ }}",
    }
    with pytest.raises(PlaceholderMissing) as caught:
        filled(body)
    assert str(caught.value) == (
        "no value for {{ inputs.draft.nope }}, {{ inputs.gone.text }}, "
        "{{ request.data.name.x }}, {{ inputs.draft.tags.2 }}, {{ inputs.draft.tags.-1 }}, "
        "{{ inputs.draft.text | upper }}, {{ request.__class__ }}"
    )


def test_very_many_missing_values_are_counted() -> None:
    """The message goes into a document, and stays legible."""
    body = ["{{ inputs.%s }}" % ("x" * 1000 + str(n)) for n in range(5000)]
    with pytest.raises(PlaceholderMissing, match=r"and 4900 more$") as caught:
        filled(body)
    assert len(str(caught.value)) < 30_000


def test_keys_of_objects_are_left_alone() -> None:
    """Two of them could become one."""
    assert filled({"{{ inputs.draft.text }}": 1}) == {"{{ inputs.draft.text }}": 1}


def test_what_was_put_in_is_not_looked_through() -> None:
    """Whoever writes a result, or a name, writes text."""
    evil = "{{ request.id }} {{ inputs.x }}"
    assert filled("{{ inputs.x }}", inputs={"x": evil}) == evil
    assert filled("-{{ inputs.x }}", inputs={"x": evil}) == f"-{evil}"
    halves = {"a": "{{ inputs.", "b": "c }}", "c": 1}
    assert filled("{{inputs.a}}{{inputs.b}}", inputs=halves) == "{{ inputs.c }}"


def test_a_short_template_cannot_grow_without_bound() -> None:
    """What stands there often is counted each time; as one value, too."""
    inputs = {"x": "y" * (MAX_FILLED_CHARACTERS // 10), "list": ["y" * 1000] * 1000}
    assert len(filled("-" + "{{inputs.x}}" * 10, inputs=inputs)) > MAX_FILLED_CHARACTERS - 10
    for body in ("-" + "{{inputs.x}}" * 11, ["{{inputs.x}}"] * 11, ["{{inputs.list}}"] * 20):
        with pytest.raises(RequestNotSendable, match="more than 16 million characters"):
            filled(body, inputs=inputs)


def test_a_number_of_too_many_digits_is_a_clear_failure() -> None:
    """Python refuses to write it."""
    with pytest.raises(RequestNotSendable, match=r"\{\{ inputs\.x \}\} has no form in JSON"):
        filled("-{{ inputs.x }}", inputs={"x": 10**5000})


@pytest.mark.parametrize(
    "text",
    ["{{ " * 300_000, "{{" + " " * 1_000_000, "{{ inputs." * 100_000, "{" * 1_000_000,
     "{{inputs." + "a." * 500_000, "{{ inputs.a" + " " * 1_000_000 + "}"],
)  # fmt: skip
def test_no_text_takes_longer_than_its_length(text: str) -> None:
    """A million characters are a matter of milliseconds; a square of it would be an hour."""
    began = time.monotonic()
    assert text == filled(text)
    assert references(text) == set()
    assert time.monotonic() - began < 60


def test_depth_costs_nothing() -> None:
    """A body from a file may be nested more deeply than Python calls."""
    deep: Any = "{{ inputs.draft.text }}"
    for _ in range(50_000):
        deep = [deep]
    assert references(deep) == {Reference("inputs", ("draft", "text"))}
    value = filled(deep)
    while isinstance(value, list):
        [value] = value
    assert value == "Hello"


def test_the_body_itself_is_not_changed() -> None:
    """A template is shared by all requests for it."""
    body = {"a": ["{{ inputs.draft.text }}"]}
    assert filled(body) == {"a": ["Hello"]}
    assert body == {"a": ["{{ inputs.draft.text }}"]}


def test_references_are_those_in_values() -> None:
    """Wherever they stand."""
    body = {"a": "{{ inputs.b.c }}{{request.id}}", "{{ inputs.key }}": [("{{inputs.d}}",)]}
    expected = {("inputs", ("b", "c")), ("request", ("id",)), ("inputs", ("d",))}
    assert expected == {tuple(each) for each in references(body)}
    assert str(Reference("inputs", ("b", "c"))) == "{{ inputs.b.c }}"


@settings(deadline=None)
@given(JSON)
def test_a_body_without_placeholders_stays_what_it_is(body: Any) -> None:
    """Byte for byte, the order of its fields included."""
    if not references(body):
        assert json.dumps(body) == json.dumps(filled(body))


@settings(deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=5), JSON, st.text(), st.text())
def test_whatever_lies_at_a_path_is_what_is_put_in(
    path: list[str], value: Any, before: str, after: str
) -> None:
    """As a value where it stands alone, as text within a text, and the rest is untouched."""
    inputs: Any = value
    for key in reversed(path):
        inputs = {key: inputs}
    placeholder = "{{ inputs." + ".".join(path) + " }}"
    assert filled(placeholder, inputs=inputs) == value
    left, right = (part.replace("{", "(").replace("}", ")") for part in (before, after))
    text = value if isinstance(value, str) else json.dumps(
        value, ensure_ascii=False, separators=(",", ":")
    )  # fmt: skip
    if left or right:
        assert filled(left + placeholder + right, inputs=inputs) == left + text + right


@settings(deadline=None)
@given(st.text(st.sampled_from("{} inputs.request|\n\0a0")), JSON)
def test_any_text_is_filled_or_named(text: str, value: Any) -> None:
    """Nothing else can happen, and what is named is among the references."""
    odd = [each for each in references(text) if each.path != ("a",)]
    if not odd:
        filled(text, inputs={"a": value}, request={"a": value})
        return
    with pytest.raises(PlaceholderMissing) as caught:
        filled(text, inputs={"a": None}, request={"a": None})
    assert all(str(each) in str(caught.value) for each in odd)
