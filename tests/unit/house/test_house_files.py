"""The files that deploy the project, and the checks that stand in for a container engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.house.__main__ import problems
from scripts.house.compose import check_compose, seconds
from scripts.house.dockerfile import check_dockerfile, check_ignored
from scripts.house.pins import check_pins
from scripts.house.procfile import check_process_types, read_procfile
from scripts.house.variables import check_variables

ROOT = Path(__file__).parents[3]

DOCKERFILE = """\
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir .

FROM python:3.11-slim
COPY --from=build /opt /opt
USER 10001
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["true"]
CMD ["true"]
"""

Changed = Callable[[dict[str, Any]], object]


@pytest.fixture
def compose() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())
    apart: dict[str, Any] = json.loads(json.dumps(content))  # its services share parts by anchors
    return apart


@pytest.fixture
def app() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "app.json").read_text())
    return content


@pytest.fixture
def schema() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "scripts/vendor/compose-spec.json").read_text())
    return content


@pytest.fixture
def procfile() -> dict[str, str]:
    return read_procfile((ROOT / "Procfile").read_text())


def test_the_projects_own_files_have_no_problem() -> None:
    """Procfile, compose.yaml, Dockerfile, app.json and constraints.txt agree and keep the rules."""
    assert problems() == []


def test_process_types_of_the_procfile(procfile: dict[str, str]) -> None:
    """Platforms start these, by these names."""
    assert list(procfile) == [
        "release", "web", "bridge", "generative", "analysis", "communication", "webhook",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["web python", "web: a\nweb: b", "web:"])
def test_a_line_that_is_none_of_a_procfile_is_refused(text: str) -> None:
    """A platform would take no notice of it."""
    with pytest.raises(ValueError, match="Procfile, line"):
        read_procfile(text)


def test_a_command_that_differs_is_found(
    procfile: dict[str, str], compose: dict[str, Any], app: dict[str, Any]
) -> None:
    """A flag changed in one place only."""
    procfile["bridge"] += " --flag"
    [problem] = check_process_types(procfile, compose, app)
    assert "bridge runs 'python -m bridge', the Procfile 'python -m bridge --flag'" in problem


def test_a_process_type_that_is_missing_elsewhere_is_found(
    procfile: dict[str, str], compose: dict[str, Any], app: dict[str, Any]
) -> None:
    """A process type is added in three places or in none."""
    procfile["translation"] = "dramatiq agent.actors -Q translation -p 1"
    del app["formation"]["web"]
    del procfile["analysis"]
    found = check_process_types(procfile, compose, app)
    assert found == [
        "app.json: formation lacks 'web'",
        "compose/compose.yaml: no service 'translation' with a command",
        "app.json: formation lacks 'translation'",
        "app.json: formation has 'analysis', the Procfile has not",
        "Procfile: no process type 'analysis' serves the queue of ANALYSIS",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: c["services"]["web"].update(comand="x"),
            "services.web: 'comand' does not match",
        ),
        (lambda c: c["services"]["web"].pop("restart"), "web says no `restart`"),
        (lambda c: c["services"]["bridge"].pop("healthcheck"), "bridge has no health check"),
        (lambda c: c["services"]["mongodb"].update(image="mongo"), "names no version"),
        (lambda c: c["services"]["mongodb"].update(image="mongo:latest"), "names no version"),
        (lambda c: c["services"]["web"].update(stop_grace_period="5s"), "is killed before 30 s"),
        (lambda c: c["services"]["web"].update(stop_grace_period="soon"), "no duration"),
        (lambda c: c["services"]["web"].pop("init"), "web has no `init`"),
        (lambda c: c["services"]["redis"].update(command=["redis-server"]), "may evict messages"),
        (lambda c: c["services"].pop("release"), "depends on release, which is not there"),
        (lambda c: c["services"]["redis"]["healthcheck"].pop("test"), "has no health check"),
        (lambda c: c["volumes"].pop("mongodb"), "is no volume of the file"),
    ],
)
def test_a_fault_of_the_compose_file_is_found(
    compose: dict[str, Any], schema: dict[str, Any], change: Changed, expected: str
) -> None:
    """Each fault by itself, named."""
    change(compose)
    assert expected in "\n".join(check_compose(compose, schema))


@pytest.mark.parametrize(
    ("duration", "expected"), [("30s", 30), ("1m30s", 90), ("1h", 3600), ("", None), ("30", None)]
)
def test_durations(duration: str, expected: int | None) -> None:
    """A number needs its unit."""
    assert seconds(duration) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda e: e.pop("AGENT_THREADS"), "web does not pass AGENT_THREADS on"),
        (lambda e: e.update(AGENT_THREAD="1"), "web sets AGENT_THREAD, which is no setting"),
        (lambda e: e.update(ANALYSIS_BASE_API_KEY="k"), "ANALYSIS_BASE_API_KEY holds a secret"),
        (lambda e: e.update(REDIS_URL="redis://:p@redis:6379"), "REDIS_URL holds a secret"),
        (lambda e: e.update(REDIS_URL="redis://u:p@redis:6379"), "REDIS_URL holds a secret"),
    ],
)
def test_a_fault_of_the_environment_is_found(
    compose: dict[str, Any], app: dict[str, Any], change: Changed, expected: str
) -> None:
    """Each fault by itself, named."""
    change(compose["services"]["web"]["environment"])
    assert expected in "\n".join(check_variables(compose, app))


def test_a_sound_dockerfile_has_no_problem() -> None:
    """What the tests below spoil."""
    assert check_dockerfile(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("FROM python:3.11-slim\n", "FROM python\n", "line 4: python has no version"),
        ("FROM python:3.11-slim\n", "FROM h:5000/python:latest\n", "has no version"),
        ("USER 10001\n", "", "runs as root"),
        ("USER 10001\n", "USER root\n", "runs as root"),
        ("USER 10001\n", "USER 10001\nCOPY . .\n", "COPY comes before USER"),
        ("COPY --from=build /opt /opt", "ADD x /opt", "use COPY"),
        ('CMD ["true"]\n', "CMD true\n", "shell form"),
        ("STOPSIGNAL SIGTERM\n", "", "0 times STOPSIGNAL"),
        ("--no-cache-dir ", "", "pip keeps its cache"),
        ("RUN pip", "RUN sudo pip", "no sudo"),
        ("RUN pip", "RUN apt-get install -y gcc && pip", "--no-install-recommends"),
        ("RUN pip", "RUN apt-get install -y \\\n gcc && pip", "lists of apt"),
        ("RUN pip", "ENV API_KEY=x\nRUN pip", "a secret would stay"),
    ],
)
def test_a_fault_of_a_dockerfile_is_found(old: str, new: str, expected: str) -> None:
    """Each fault by itself, by its line."""
    assert expected in "\n".join(check_dockerfile(DOCKERFILE.replace(old, new)))


@pytest.mark.parametrize("text", ["", ".git\n", "*\n!.env\n", "*\n!/.git\n"])
def test_secrets_are_kept_from_the_builder(text: str) -> None:
    """Everything is left out but what is named, and these never are."""
    assert len(check_ignored(text)) == 1


def test_faults_of_the_constraints_are_found() -> None:
    """Each dependency has one exact version, and nothing else stands there."""
    pyproject = {
        "project": {"dependencies": ["dramatiq[redis]>=2.2,<3", "Some.Name>=1"]},
        "dependency-groups": {"test": ["pytest>=8"]},
    }
    text = "# why\ndramatiq==2.2.1\nsome_name==1.0\nSome-Name==1.1\nother @ file:///x\n"
    assert check_pins(pyproject, text) == [
        "constraints.txt, line 4: Some-Name stands there twice",
        "constraints.txt, line 5: expected name==version",
        "constraints.txt: pytest of pyproject.toml has no version",
    ]
