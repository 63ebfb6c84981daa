"""The honest work of the three services, on plain values."""

import json
import math
from typing import Any

import pytest

from agent.sandbox.analysis import analyze
from agent.sandbox.generation import generate
from agent.sandbox.incoming import Call, Headers, parse_json, read_call
from agent.sandbox.replies import Refused


def a_call(template: Any = None, data: Any = None, **context: Any) -> Call:
    """A call as it is read from a body."""
    request = {"data": data, **context.pop("request", {})}
    body = {"template_data": template, "context": {"request": request, **context}}
    return read_call({**body, "request_id": "req-1"}, Headers())


def generated(template: Any, data: Any = None, **context: Any) -> Any:
    """The reply of GENERATIVE."""
    return json.loads(generate(a_call(template, data, **context)).body)


def analyzed(template: Any, data: Any = None) -> Any:
    """The reply of ANALYSIS."""
    return json.loads(analyze(a_call(template, data)).body)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Dear {{name}},", "Dear Ann,"),
        ("Dear {{ name }},", "Dear Ann,"),
        ("{{order.lines.1.item}} for {{order.total}}", "tea for 12.5"),
        ("{{order.paid}} {{order.lines.0}}", 'true {"item": "milk"}'),
        (
            "{{nobody}} {{name.first}} {{order.lines.9}}",
            "{{nobody}} {{name.first}} {{order.lines.9}}",
        ),
        ("{{order.lines.99999999999999999999}}", "{{order.lines.99999999999999999999}}"),
        ("{{inputs.draft.text}}", "a draft"),
        ("{{}} {name} {{name", "{{}} {name} {{name"),
    ],
)
def test_placeholders_are_filled_from_the_request(prompt: str, expected: str) -> None:
    """Dotted names reach into the data; those that lead nowhere stay."""
    order = {"lines": [{"item": "milk"}, {"item": "tea"}], "total": 12.5, "paid": True}
    inputs = {"draft": {"text": "a draft"}}
    reply = generated({"prompt": prompt}, {"name": "Ann", "order": order}, inputs=inputs)
    assert reply["text"] == expected


def test_a_value_is_not_filled_again() -> None:
    """A placeholder inside a value is text, not a placeholder."""
    assert generated({"text": "{{a}}"}, {"a": "{{b}}", "b": "no"})["text"] == "{{b}}"


def test_without_a_template_the_requests_text_is_used() -> None:
    """An empty service template still has the request's own text."""
    assert generated({}, request={"text": "Write."})["text"] == "Write."


def test_nothing_to_generate_from_is_said() -> None:
    """With no text anywhere the reply says what is missing."""
    reply = generated({"prompt": 5})
    assert (reply["success"], reply["request_id"]) == (False, "req-1")


def test_usage_counts_words() -> None:
    """Tokens are the words of the prompt and of the text."""
    usage = generated({"prompt": "Dear {{name}}"}, {"name": "Ann B. Cee"})["usage"]
    assert usage == {"prompt_tokens": 2, "completion_tokens": 4}


def test_a_series_has_its_statistics() -> None:
    """Each figure of a small series is the known one."""
    assert analyzed({"series": [2, 4, 4, None, 4, 5, 5, 7, 9]})["statistics"] == {
        "count": 8,
        "sum": 40,
        "mean": 5,
        "median": 4.5,
        "min": 2,
        "max": 9,
        "stdev": pytest.approx(math.sqrt(32 / 7)),
    }


def test_one_number_has_no_deviation() -> None:
    """The sample's standard deviation of one number does not exist."""
    assert analyzed({}, {"series": [3]})["statistics"]["stdev"] is None


def test_rows_give_their_numeric_columns() -> None:
    """Text columns and mixed ones are left out, nulls are skipped."""
    rows = [
        {"price": 1, "name": "a", "mixed": 1, "flag": True},
        {"price": None, "name": "b", "mixed": "x"},
        {"price": 3, "rare": 8},
    ]
    reply = analyzed({}, {"rows": rows})
    assert reply["rows"] == 3
    assert {name: c["mean"] for name, c in reply["columns"].items()} == {"price": 2, "rare": 8}


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"series": []},
        {"series": [None]},
        {"series": ["1", "2"]},
        {"series": [True]},
        {"series": "12"},
        {"series": [10**400]},
        {"series": [1e308, 1e308, 1e308]},
        {"series": [1e300, -1e300]},
        {"series": [math.inf, -math.inf]},
        {"series": [math.inf]},
        {"rows": {}},
        {"rows": [1, 2]},
        {"rows": []},
        {"rows": [{"name": "a"}]},
    ],
)
def test_what_is_not_numeric_is_said(template: Any) -> None:
    """Nothing to compute is an answer, not an error of the service."""
    reply = analyzed(template)
    assert reply["success"] is False
    assert reply["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_malformed_json_is_refused(body: bytes) -> None:
    """Whatever cannot be parsed is a 400."""
    with pytest.raises(Refused) as caught:
        parse_json(body)
    assert caught.value.reply.status == 400


@pytest.mark.parametrize(
    "body",
    [[], None, "x", {"template_data": [1]}, {"context": "x"}, {"request_id": 1.5}],
)
def test_a_field_of_the_wrong_type_is_refused(body: Any) -> None:
    """The call's own fields are checked."""
    with pytest.raises(Refused) as caught:
        read_call(body, Headers())
    assert caught.value.reply.status == 422


@pytest.mark.parametrize("request_", [None, [], "x", {"data": []}, {"data": None}])
def test_the_context_may_have_any_shape(request_: Any) -> None:
    """Documents of other programs are read leniently."""
    assert read_call({"context": {"request": request_}}, Headers()).data == {}
