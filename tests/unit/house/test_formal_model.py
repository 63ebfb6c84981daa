"""The formal model keeps to the code, and what checks it tells right from wrong."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.models import TRANSITIONS, Change
from scripts.spec import __main__ as command
from scripts.spec import tools
from scripts.spec.configurations import CONFIGURATIONS, FOLDER, TEMPORAL, Configuration
from scripts.spec.tlc import Verdict, read

ROOT = FOLDER.parents[1]
LEFT_OUT = {
    Change.POSTPONE,
    Change.TAKE_BACK,
    Change.RETRY_LATER,
    Change.ADOPT_FAIL,
    Change.EXPIRE,
    Change.RETRY_BLOCKED,
    Change.UNBLOCK,
    Change.BLOCK_AGAIN,
}
RIGHT = Configuration("Right", "Lease")
WRONG = Configuration("Wrong", "Lease", violates="ResultIsOwn")

HOLDS = """\
Model checking completed. No error has been found.
759,727 states generated, 167,595 distinct states found, 0 states left on queue.
"""
VIOLATED = """\
Error: Invariant ResultIsOwn is violated.
2674 states generated, 1303 distinct states found, 592 states left on queue.
"""


def test_the_model_has_the_table_of_the_code() -> None:
    """`Legal` is TRANSITIONS without the changes that the model leaves out."""
    legal = re.search(r"^Legal == \{(.*?)\}$", model(), re.MULTILINE | re.DOTALL)
    assert legal is not None
    in_model = set(re.findall(r'<<"(\w+)", "(\w+)">>', legal.group(1)))
    in_code = {
        (str(source), str(transition.target))
        for change, transition in TRANSITIONS.items()
        if change not in LEFT_OUT
        for source in transition.sources
        if source != "waiting"
    }
    assert in_code == in_model


@pytest.mark.parametrize("page", ["docs/spec/README.md", "docs/states.md"])
def test_actions_and_functions_have_their_names(page: str) -> None:
    """Each row names an action of the model, and a function that there is."""
    known = set(functions())
    rows = list(rows_of_actions(ROOT / page))
    assert len(rows) >= 7
    for actions, named in rows:
        for action in actions:
            assert re.search(rf"^{action}(\(.*\))? ==", both_models(), re.MULTILINE), action
        for function in named:
            assert function in known, function


def test_every_configuration_is_checked() -> None:
    """Each file has its row of what must come out, and of its page."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {path.stem for path in FOLDER.glob("*.cfg")} == {each.name for each in CONFIGURATIONS}
    for each in CONFIGURATIONS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{each.name}` |"))
        assert ("is violated" in row) is (each.violates is not None)
        if each.violates not in (None, TEMPORAL):
            assert f"`{each.violates}` is violated" in row


def test_verdicts_are_read() -> None:
    """What holds, what is violated, and what is neither."""
    assert read(HOLDS, 1.0)[:3] == (True, None, 167_595)
    assert read(VIOLATED, 1.0)[:3] == (False, "ResultIsOwn", 1303)
    assert read("Error: Action property OnlyRises is violated.", 1.0).violates == "OnlyRises"
    assert read("Error: Temporal properties were violated.", 1.0).violates == TEMPORAL
    assert read("Error: Parsing failed.", 1.0)[:3] == (False, None, 0)


@pytest.mark.parametrize(
    ("configuration", "output", "expected"),
    [
        (RIGHT, HOLDS, True),
        (RIGHT, VIOLATED, False),
        (RIGHT, "", False),
        (WRONG, VIOLATED, True),
        (WRONG, HOLDS, False),
        (WRONG, VIOLATED.replace("ResultIsOwn", "TypeOK"), False),
        (WRONG, "", False),
    ],
)
def test_a_verdict_that_is_not_expected_fails(
    configuration: Configuration,
    output: str,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where a model that is wrong on purpose holds, or breaks in another place."""
    monkeypatch.setattr(command, "CONFIGURATIONS", (configuration,))
    monkeypatch.setattr(command, "find_java", lambda: "java")
    monkeypatch.setattr(command, "find_tlc", lambda: Path("tlc.jar"))
    monkeypatch.setattr(command, "check", lambda *_: verdict_of(output))
    assert (0 if expected else 1) == command.main([])
    assert ("WRONG" in capsys.readouterr().out) is not expected


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_java_the_model_is_not_checked(
    ci: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """It says so, and only CI minds."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("CI", ci)
    assert code == command.main([])
    assert "The model was not checked. Java 11" in capsys.readouterr().err


def test_without_maven_it_says_where_to_put_the_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By hand will do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tools.ToolMissing, match=f"by hand: {tmp_path}"):
        tools.find_tlc(tmp_path / "tlc.jar")


def test_another_archive_is_refused(tmp_path: Path) -> None:
    """What is run is what was tested."""
    (tmp_path / "tlc.jar").write_bytes(b"something else")
    with pytest.raises(tools.ToolMissing, match="delete it"):
        tools.find_tlc(tmp_path / "tlc.jar")


def test_an_unknown_configuration_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """By its name."""
    with pytest.raises(SystemExit):
        command.main(["Nothing"])
    assert "there is no configuration 'Nothing'" in capsys.readouterr().err


def verdict_of(output: str) -> Verdict:
    return read(output, 1.0)


def model() -> str:
    return (FOLDER / "Lease.tla").read_text(encoding="utf-8")


def both_models() -> str:
    return model() + (FOLDER / "Settle.tla").read_text(encoding="utf-8")


def rows_of_actions(page: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Actions and functions of each row of the table that has a column for either."""
    columns: tuple[int, int] | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if "action" in cells and "function" in cells:
            columns = cells.index("action"), cells.index("function")
        elif not line.startswith("|"):
            columns = None
        elif columns is not None and "---" not in line:
            actions, named = (re.findall(r"`([\w.]+)`", cells[column]) for column in columns)
            yield actions, named


def functions() -> Iterator[str]:
    """`function` and `Class.method`, of all that a page may name."""
    for package in ("agent", "bridge"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef):
                    yield node.name
                elif isinstance(node, ast.ClassDef):
                    for inner in node.body:
                        if isinstance(inner, ast.FunctionDef):
                            yield f"{node.name}.{inner.name}"
