"""Parameters of templates, and the data of requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.errors import RequestInvalid
from agent.intake.parameters import TYPES, Parameter, read_parameters, with_defaults
from agent.models import ABSENT

GOOD = {
    "string": ["", "x"],
    "integer": [0, -3, 4.0, 2**60],
    "number": [0, 1.5, -2],
    "boolean": [True, False],
    "object": [{}, {"a": 1}],
    "array": [[], [1]],
    "date": ["2025-03-01", "2025-03-01T12:00:00Z", datetime(2025, 3, 1, tzinfo=UTC)],
    "any": ["", 0, {}, []],
}
BAD = {
    "string": [1, True, {}],
    "integer": [1.5, "1", True, float("inf")],
    "number": ["1.5", False, float("nan"), []],
    "boolean": [0, "true"],
    "object": [[], "x"],
    "array": [{}, "x"],
    "date": ["soon", "2025-13-01", 1740787200, {}],
    "any": [],
}


def a_parameter(**fields: Any) -> dict[str, Any]:
    """A parameter as a template has it."""
    return {"name": "size", "type": "integer", **fields}


def refused(parameters: Any, data: dict[str, Any]) -> str:
    """Why data are refused."""
    with pytest.raises(RequestInvalid) as caught:
        with_defaults(read_parameters(parameters), data)
    return str(caught.value)


@pytest.mark.parametrize("name", TYPES)
def test_a_value_has_to_be_of_its_type(name: str) -> None:
    """And stays as it is."""
    parameters = read_parameters([a_parameter(type=name)])
    for value in GOOD[name]:
        assert with_defaults(parameters, {"size": value}) == {"size": value}
    for value in BAD[name]:
        assert "`data.size` is " in refused([a_parameter(type=name)], {"size": value})


def test_every_value_that_is_missing_or_wrong_is_named() -> None:
    """With what it should be, and never with what stood there."""
    parameters = [
        a_parameter(required=True),
        a_parameter(name="name", type="string"),
        a_parameter(name="when", type="date"),
        a_parameter(name="tone", type="string", enum=["warm", "cold"]),
    ]
    message = refused(parameters, {"name": 7, "when": "secret", "tone": "secret"})
    assert message == (
        "`data.size` is missing, a whole number; `data.name` is a number, not a string; "
        "`data.when` is a text that is no date, not a date in ISO 8601; "
        "`data.tone` is none of 'warm', 'cold'"
    )


def test_defaults_fill_what_is_not_given() -> None:
    """A null is not given, either; what no parameter names is kept."""
    parameters = read_parameters(
        [a_parameter(default=3, required=True), a_parameter(name="list", type="array", default=[])]
    )
    assert with_defaults(parameters, {"x": 1, "size": None}) == {"x": 1, "size": 3, "list": []}
    assert with_defaults(parameters, {"size": 0}) == {"size": 0, "list": []}
    assert "`data.size` is missing" in refused([a_parameter(required=True)], {"size": None})


def test_a_default_is_not_shared_between_requests() -> None:
    """What one changes, no other sees."""
    parameters = read_parameters([a_parameter(type="array", default=[])])
    with_defaults(parameters, {})["size"].append(1)
    assert with_defaults(parameters, {}) == {"size": []}


def test_true_is_none_of_the_numbers() -> None:
    """To Python it equals 1."""
    assert "is none of 0, 1" in refused([a_parameter(type="any", enum=[0, 1])], {"size": True})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([a_parameter(type="int")], "'size': `type` is 'int'; known are string, integer"),
        ([a_parameter(), a_parameter()], "parameter 'size' stands there twice"),
        ([a_parameter(), {"name": "x"}], "parameter 2 has no `name` and `type`"),
        ([a_parameter(), "x"], "parameter 2 has no `name` and `type`"),
        ([a_parameter(required="yes")], "'size': `required` is a string, not a boolean"),
        ([a_parameter(default="3")], "'size': `default` is a string, not a whole number"),
        ([a_parameter(default=3, enum=[1, 2])], "'size': `default` is none of 1, 2"),
        ([a_parameter(enum=[1, "2"])], "'size': `enum` is a string, not a whole number"),
        ([a_parameter(enum=[])], "'size': `enum` is no list of values"),
        ([a_parameter(enum=1)], "'size': `enum` is no list of values"),
    ],
)
def test_parameters_that_are_wrong_say_why(parameters: list[Any], expected: str) -> None:
    """When the template is loaded, not when somebody asks for it."""
    with pytest.raises(RequestInvalid) as caught:
        read_parameters(parameters)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "parameters",
    [None, {}, {"size": {"type": "int"}}, "size", 3, [], ["size"], [{"name": "size"}], [[]]],
)
def test_what_is_not_typed_is_left_alone(parameters: Any) -> None:
    """Templates of the system before carry such."""
    assert read_parameters(parameters) == ()


def test_other_fields_of_a_parameter_do_no_harm() -> None:
    """A description is for people."""
    [parameter] = read_parameters([a_parameter(description="In pages", unit="page")])
    assert parameter == Parameter("size", "integer", default=ABSENT)
