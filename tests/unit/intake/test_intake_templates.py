"""Templates in the collection and in folders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigurationError, RequestInvalid, TemplateNotFound
from agent.intake.templates import TemplateSource, read_any, read_template
from agent.services import ServiceRegistry
from agent.versions import version_order, version_text

REGISTRY = ServiceRegistry()


def a_template(**fields: Any) -> dict[str, Any]:
    """A template as it is stored."""
    return {"id": "t", "service_type": "analysis", "service_template": {"a": 1}, **fields}


class Stored:
    """The collection, as a list."""

    def __init__(self, *templates: Mapping[str, Any]) -> None:
        self.templates = templates

    def find_template(self, template_id: str, version: str | None) -> Mapping[str, Any] | None:
        for template in self.templates:
            if template["id"] == template_id and version in (None, template.get("version")):
                return template
        return None


def a_source(folder: Path, files: Mapping[str, Any], *stored: Mapping[str, Any]) -> TemplateSource:
    """A source over a folder with these files; a `bytes` value is written as it is."""
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(raw)
    return TemplateSource(Stored(*stored), [folder], registry=REGISTRY)


@pytest.mark.parametrize("name", ["generative", "analysis", "communication"])
def test_a_template_of_the_old_system_is_read(name: str) -> None:
    """Its body becomes the service template, other fields and placeholders stay as they are."""
    body = {"prompt": "Buy {{product_name}}"}
    template = read_template(
        {"_id": 1, "id": "t", "service_type": name, f"{name}_template": body, "owner": "Ann"},
        REGISTRY,
    )
    assert dict(template) == {
        "id": "t",
        "version": "1.0",
        "service_type": name.upper(),
        "service_template": body,
        "parameters": None,
        "owner": "Ann",
    }


def test_every_problem_of_a_template_is_named() -> None:
    """One look tells all that is to be mended."""
    with pytest.raises(RequestInvalid) as caught:
        read_template({"service_type": "poetry", "analysis_template": []}, REGISTRY)
    assert str(caught.value) == (
        "`id` is missing or no string; `service_type` is 'poetry'; known are GENERATIVE, "
        "ANALYSIS, COMMUNICATION; `analysis_template` is a list, not an object"
    )


def test_a_template_of_steps_is_none_of_a_single_service() -> None:
    """Clearly, and not with a list of what a single one would need."""
    with pytest.raises(RequestInvalid, match="lists steps, and a context has one service"):
        read_template({"id": "t", "steps": []}, REGISTRY)


def test_steps_and_a_body_contradict_each_other() -> None:
    """Nobody can tell which of them was meant."""
    with pytest.raises(RequestInvalid, match="lists `steps` and has a `analysis_template`"):
        read_any({"id": "t", "steps": [], "analysis_template": {}}, REGISTRY)


def test_a_template_of_steps_is_stored_as_it_came() -> None:
    """With fields that we do not know, and an id and version as texts."""
    step = {"key": "a", "service_type": "analysis", "service_template": {"x": "{{mine}}"}}
    template = read_any({"_id": 4, "id": 7, "steps": [step], "owner": "Ann"}, REGISTRY)
    assert template.document == {"id": "7", "version": "1.0", "steps": [step], "owner": "Ann"}
    assert template.summary == "1 step: a"
    assert read_any(template.document, REGISTRY) == template


def test_a_null_for_steps_is_no_list_of_steps() -> None:
    """So a template of one service may carry one."""
    assert read_any(a_template(steps=None), REGISTRY).summary == "ANALYSIS"


def test_an_input_of_no_step_is_refused() -> None:
    """It could never be filled in; every other placeholder is left to whom it concerns."""
    body = {"prompt": "{{ inputs.draft.text }} {{inputs}} {{name}} {{ request.data.name }}"}
    with pytest.raises(RequestInvalid, match=r"^\{\{ inputs\.draft\.text \}\} is of no step"):
        read_any(a_template(service_template=body), REGISTRY)


@pytest.mark.parametrize("parameters", [None, {}, {"name": {"type": "x"}}, [], ["name"], "a", 4])
def test_parameters_in_another_shape_are_left_alone(parameters: Any) -> None:
    """The system before had its own."""
    template = read_any(a_template(parameters=parameters), REGISTRY)
    assert template.parameters == ()
    assert template.document["parameters"] == parameters


def test_wrong_parameters_are_named_with_what_else_is_wrong() -> None:
    """One look tells all that is to be mended."""
    with pytest.raises(RequestInvalid, match=r"`id` is missing.*'size': `type` is 'huge'"):
        read_any(a_template(id=None, parameters=[{"name": "size", "type": "huge"}]), REGISTRY)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "1.0"), ("", "1.0"), (2, "2"), (1.0, "1.0"), (True, "1.0")]
)
def test_a_version_that_is_no_text_is_read_as_one(value: object, text: str) -> None:
    """Other programs store numbers, or nothing."""
    assert text == version_text(value)


def test_versions_are_ordered_as_people_count() -> None:
    """Ten comes after nine, and a beta before its release."""
    ordered = ["1.9", "1.10", "2.0-beta", "2.0", "v2.0.1", "10"]
    assert ordered == sorted(["10", "2.0", "1.10", "v2.0.1", "1.9", "2.0-beta"], key=version_order)


def test_the_newest_version_wins_when_none_is_asked_for(tmp_path: Path) -> None:
    """And any other can be had by its name."""
    files = {f"{v}.json": a_template(version=v) for v in ("1.9", "1.10", "1.0")}
    source = a_source(tmp_path, files)
    assert source.resolve("t").version == "1.10"
    assert source.resolve("t", "1.0").version == "1.0"


def test_the_collection_comes_before_the_folders(tmp_path: Path) -> None:
    """What an operator stored beats what was shipped."""
    source = a_source(tmp_path, {"t.json": a_template(version="9")}, a_template(version="1"))
    assert source.resolve("t").version == "1"
    assert source.resolve("t", "9").version == "9"


def test_a_stored_template_that_is_wrong_is_named(tmp_path: Path) -> None:
    """The error says which template, and what is wrong with it."""
    source = a_source(tmp_path, {}, {"id": "t"})
    with pytest.raises(RequestInvalid, match=r"^template 't': .*service_type.*service_template"):
        source.resolve("t")


def test_a_wrong_file_costs_only_itself(tmp_path: Path) -> None:
    """Each gets one line, with its name and what is wrong with it."""
    files = {
        "a.json": a_template(id="a"),
        "b.json": b"{",
        "c.json": b'{"id": "\xff"}',
        "d.json": [a_template()],
        "e.json": {"id": "e", "steps": []},
        "f.json": a_template(id="a"),
        "g.json": b"[" * 100_000,
        "h.json": a_template(id="h", service_type="poetry"),
        "i.json": a_template(id="i"),
        "j.json": b'{"id": "j", "x": ' + b"[" * 200 + b"]" * 200 + b"}",
        "k.json": b'{"id": "k", "x": NaN}',
        "notes.txt": b"no template",
    }
    source = a_source(tmp_path, files)
    assert [source.resolve(name).id for name in ("a", "i")] == ["a", "i"]
    expected = {
        "b": "is not JSON",
        "c": "is not UTF-8",
        "d": "holds a list, not an object",
        "e": "`steps` is an empty list",
        "f": "was loaded before",
        "g": "is not JSON",
        "h": "known are GENERATIVE",
        "j": "more than 90 objects or lists",
        "k": "NaN is no JSON",
    }
    assert len(expected) == len(source.problems)
    for (name, words), problem in zip(expected.items(), source.problems, strict=True):
        assert problem.startswith(str(tmp_path / f"{name}.json"))
        assert words in problem


def test_load_folder_returns_what_it_added(tmp_path: Path) -> None:
    """In the order of the file names."""
    source = TemplateSource(None, registry=REGISTRY)
    a_source(tmp_path, {"b.json": a_template(id="b"), "a.json": a_template(id="a")})
    assert [template.id for template in source.load_folder(tmp_path)] == ["a", "b"]


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match=r"nowhere.*AGENT_TEMPLATES"):
        TemplateSource(None, [tmp_path / "nowhere"], registry=REGISTRY)


def test_a_template_that_is_not_there_lists_what_is(tmp_path: Path) -> None:
    """Ten of them, and how many more."""
    source = a_source(tmp_path, {f"{n}.json": a_template(id=f"t{n:02}") for n in range(13)})
    with pytest.raises(TemplateNotFound) as caught:
        source.resolve("nope")
    listed = ", ".join(f"t{n:02}" for n in range(10))
    assert f"no template 'nope' is stored; loaded from files: {listed} and 3 more" == str(
        caught.value
    )


def test_a_version_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    """For the template is there."""
    files = {f"{v}.json": a_template(version=v) for v in ("1.9", "1.10")}
    with pytest.raises(TemplateNotFound, match=r"no version '3'; loaded from files: 1\.9, 1\.10"):
        a_source(tmp_path, files).resolve("t", "3")
