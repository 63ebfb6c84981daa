"""Documents as JSON on a page: never larger than there is room for, however they are made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from markupsafe import escape

from agent.dashboard.words import json_text

MOST = 2000
LONG: dict[str, Any] = {
    "text": "x" * 100_000,
    "signs that are escaped": {"html": "<&'\">" * 20_000},
    "signs of several bytes": ["漢字" * 100] * 100,
    "signs that are shown as digits": "\u202e" * 50_000,
    "many small ones": list(range(50_000)),
    "many names": {f"name {number}": number for number in range(50_000)},
    "lists of lists": [[1] * 300] * 300,
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_document_has_an_end(name: str) -> None:
    """It fills the room that there is, counted as the page is sent, and says that it is cut."""
    shown = json_text(LONG[name], MOST)
    size = len(escape(shown).encode())
    assert 0.9 * MOST < size <= MOST + len("…".encode())
    assert shown.endswith("…")


def test_a_short_document_is_whole() -> None:
    """Nothing of it is cut, and it can be read back."""
    document = {"a": [1, 2.5, None, True], "b": {"c": "<d>"}, "e": "ü" * 100}
    assert json.loads(json_text(document, MOST)) == document


def test_no_half_of_a_secret_is_left_where_a_document_is_cut() -> None:
    """It is masked before."""
    shown = json_text("x" * 40 + " mongodb://ann:hunter2@db/ " + "y" * 100, 60)
    assert "hunter" not in shown
