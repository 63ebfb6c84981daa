"""Templates in the collection and in folders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigurationError, RequestInvalid, TemplateNotFound
from agent.intake.templates import TemplateSource, read_template, version_order
from agent.services import ServiceRegistry

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


def test_a_template_of_steps_is_refused_for_now() -> None:
    """Clearly, and not with a list of what a single one would need."""
    with pytest.raises(RequestInvalid, match="steps are not built yet"):
        read_template({"id": "t", "steps": []}, REGISTRY)


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
        "e.json": a_template(id="e", steps=[]),
        "f.json": a_template(id="a"),
        "g.json": b"[" * 100_000,
        "h.json": a_template(id="h", service_type="poetry"),
        "i.json": a_template(id="i"),
        "notes.txt": b"no template",
    }
    source = a_source(tmp_path, files)
    assert [source.resolve(name).id for name in ("a", "i")] == ["a", "i"]
    expected = {
        "b": "is not JSON",
        "c": "is not UTF-8",
        "d": "holds a list, not an object",
        "e": "steps are not built yet",
        "f": "was loaded before",
        "g": "is not JSON",
        "h": "known are GENERATIVE",
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
