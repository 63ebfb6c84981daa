"""The service types, built in and of one's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, UnknownServiceType
from agent.services import (
    ANALYSIS,
    BUILT_IN,
    COMMUNICATION,
    GENERATIVE,
    ServiceRegistry,
    ServiceType,
    import_worker,
)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module outside the project, with worker classes and other things."""
    name = "somebodys_workers"
    (tmp_path / f"{name}.py").write_text(
        "from agent.services import ServiceType\n"
        "class Translating:\n"
        "    service = ServiceType('TRANSLATION', 'TRANSLATION', '/translate', 'set:byload',\n"
        "                          on_ambiguous='park')\n"
        "class Generating:\n"
        "    service = ServiceType('GENERATIVE', 'OTHER', '/x', '')\n"
        "class Sharing:\n"
        "    service = ServiceType('SHARING', 'ANALYSIS', '/x', '')\n"
        "class Silent:\n"
        "    pass\n"
        "class Wordy:\n"
        "    service = 'TRANSLATION'\n"
        "def function():\n"
        "    pass\n"
    )
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "unparsable.py").write_text("class :\n")
    monkeypatch.syspath_prepend(tmp_path)
    for imported in (name, "broken", "unparsable"):
        monkeypatch.delitem(sys.modules, imported, raising=False)
    return name


def test_three_service_types_are_built_in() -> None:
    """Their paths and queues, and which of them sends nothing twice on a guess."""
    told = {s.name: (s.queue, s.variable_prefix, s.path, s.on_ambiguous) for s in BUILT_IN}
    assert told == {
        "GENERATIVE": ("generative", "GENERATION_BASE_", "/api/v1/generate", "retry"),
        "ANALYSIS": ("analysis", "ANALYSIS_BASE_", "/api/v1/analyze", "retry"),
        "COMMUNICATION": ("communication", "COMMUNICATION_BASE_", "/api/v1/communicate", "park"),
    }


def test_an_unknown_service_type_says_which_are_known() -> None:
    """Whoever mistyped it sees what to type."""
    with pytest.raises(
        UnknownServiceType, match="'GENERATIV'; known are GENERATIVE, ANALYSIS, COMMUNICATION"
    ):
        ServiceRegistry()["GENERATIV"]


@pytest.mark.parametrize("word", ["GENERATIVE", "generative", " Generative\n"])
def test_a_word_names_a_service_in_any_case(word: str) -> None:
    """As other programs write it."""
    assert ServiceRegistry().find(word) is GENERATIVE


@pytest.mark.parametrize("word", ["", "generativ", None, 7, ["GENERATIVE"], b"GENERATIVE"])
def test_anything_else_names_none(word: object) -> None:
    """It is for the caller to say what is wrong with it."""
    assert ServiceRegistry().find(word) is None


def test_the_registry_is_asked_without_an_error() -> None:
    """Membership never raises, and the order is that of the declaration."""
    registry = ServiceRegistry()
    assert "GENERATIVE" in registry
    assert "generative" not in registry
    assert list(registry.values()) == [GENERATIVE, ANALYSIS, COMMUNICATION]
    assert len(registry) == 3


def test_a_worker_of_ones_own_adds_its_service_type(module: str) -> None:
    """It is carried out by the class it was loaded by, whatever the class itself says."""
    registry = ServiceRegistry.load([f"{module}:Translating"])
    assert list(registry) == ["GENERATIVE", "ANALYSIS", "COMMUNICATION", "TRANSLATION"]
    translation = registry["TRANSLATION"]
    assert translation.worker == f"{module}:Translating"
    assert (translation.queue, translation.variable_prefix) == ("translation", "TRANSLATION_BASE_")
    assert translation.on_ambiguous == "park"
    assert import_worker(translation.worker).__name__ == "Translating"


def test_webhooks_stand_beside_workers_of_ones_own(module: str) -> None:
    """Where there are any; neither takes the other's place."""
    registry = ServiceRegistry.load([f"{module}:Translating"], webhooks=True)
    assert list(registry)[3:] == ["WEBHOOK", "TRANSLATION"]
    assert registry["WEBHOOK"].on_ambiguous == "retry"
    assert import_worker(registry["WEBHOOK"].worker).__name__ == "WebhookWorker"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("no_such_module:Worker", "cannot import 'no_such_module:Worker'.*write module:Class"),
        ("{module}:Missing", "cannot import '{module}:Missing'.*write module:Class"),
        ("{module}", "cannot import '{module}'.*write module:Class"),
        (":Worker", "cannot import ':Worker'.*write module:Class"),
        ("", "cannot import ''.*write module:Class"),
        (".relative:Worker", "cannot import '.relative:Worker'.*write module:Class"),
        ("broken:Worker", "cannot import 'broken:Worker'.*no_such_module_at_all"),
        ("unparsable:Worker", "cannot import 'unparsable:Worker'.*unparsable.py, line 1"),
        ("{module}:function", "'{module}:function' is no class"),
        ("{module}:Silent", "'{module}:Silent' has no `service = ServiceType"),
        ("{module}:Wordy", "'{module}:Wordy' has no `service = ServiceType"),
    ],
)
def test_a_wrong_name_is_told_with_its_variable(module: str, name: str, what: str) -> None:
    """One line that names the variable, the word in it, and what to write instead."""
    with pytest.raises(ConfigurationError, match=what.format(module=module)) as caught:
        ServiceRegistry.load([name.format(module=module)])
    assert str(caught.value).startswith("AGENT_WORKERS: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "both"),
    [
        (["Generating"], ["{module}:Generating", GENERATIVE.worker, "GENERATIVE"]),
        (["Sharing"], ["{module}:Sharing", ANALYSIS.worker, "ANALYSIS_BASE_"]),
        (["Translating", "Translating"], ["{module}:Translating", "TRANSLATION"]),
    ],
    ids=["a queue that is taken", "variables that are taken", "the same twice"],
)
def test_two_workers_for_one_service_are_refused(
    module: str, names: list[str], both: list[str]
) -> None:
    """The message names both, since either may be the one to change."""
    with pytest.raises(ConfigurationError, match=r"AGENT_WORKERS: .* both claim ") as caught:
        ServiceRegistry.load([f"{module}:{name}" for name in names])
    for word in both:
        assert word.format(module=module) in str(caught.value)


@pytest.mark.parametrize("name", ["", "translation", "TRANS-LATION", "1ST", "Ü", "T" * 41, "T\n"])
def test_a_service_type_has_a_name_that_fits_everywhere(name: str) -> None:
    """It becomes a queue, an actor and the beginning of variables."""
    with pytest.raises(ConfigurationError, match="capital letters"):
        ServiceType(name, "TRANSLATION", "/translate", "m:C")
    with pytest.raises(ConfigurationError, match="no variable name"):
        ServiceType("TRANSLATION", name, "/translate", "m:C")
