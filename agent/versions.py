"""Versions of a template, and their order: one rule wherever templates are kept. Pure."""

from __future__ import annotations

import re

DEFAULT_VERSION = "1.0"
"""Of a template that does not say."""

Order = tuple[tuple[int, int, str], ...]


def version_text(value: object) -> str:
    """The version as a text: other programs store numbers, or none at all."""
    if value is None or value == "" or isinstance(value, bool):
        return DEFAULT_VERSION
    return str(value)


def version_order(version: str) -> Order:
    """A sort key: 1.10 after 1.9, 2.0 after 2.0-beta, `v2` as 2."""
    parts = re.findall(r"[0-9]+|[a-z]+", version.lower().removeprefix("v"))
    return (*(_part_order(part) for part in parts), (1, 0, ""))


def _part_order(part: str) -> tuple[int, int, str]:
    """Words before the end, the end before numbers; digits compare by length, then in order."""
    if not part.isdigit():
        return (0, 0, part)
    digits = part.lstrip("0")
    return (2, len(digits), digits)
