"""The page `docs/templates.md`: what it shows is what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from agent.intake.parameters import TYPES
from agent.intake.purposes import Defaults, read_purposes
from agent.intake.template_steps import MAX_STEPS
from agent.intake.templates import read_any
from agent.services import ServiceRegistry

PAGE = (Path(__file__).parents[3] / "docs/templates.md").read_text()
REGISTRY = ServiceRegistry()


def examples() -> list[dict[str, Any]]:
    """Its blocks of JSON, without their comments."""
    blocks = re.findall(r"```jsonc\n(.*?)```", PAGE, re.DOTALL)
    return [json.loads(re.sub(r"\s//.*", "", block)) for block in blocks]


def test_the_examples_are_read() -> None:
    """Each as what it stands for."""
    greeting, campaign, purposes, selection = examples()
    assert read_any(greeting, REGISTRY).summary == "GENERATIVE"
    assert read_any(campaign, REGISTRY).summary == "3 steps: draft, score, send"
    [purpose], problems = read_purposes(purposes, REGISTRY)
    assert (purpose.template_id, problems) == (greeting["id"], [])
    assert selection["purpose_id"] == purpose.id


def test_the_page_names_what_there_is() -> None:
    """Every type of a parameter, every default of a purpose, and how many steps there may be."""
    assert all(f"`{name}`" in PAGE for name in TYPES)
    assert all(name in PAGE for name in Defaults.model_fields)
    assert f"more than {MAX_STEPS} steps" in PAGE
