"""What a run found: a table for people, and one JSON document for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = ("dramatiq", "redis", "pymongo", "httpx", "celery", "kombu")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a figure should reach."""

    text: str
    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def at_least(value: float) -> Mark:
    return Mark(f"≥ {value:g}", at_least=value)


def at_most(value: float) -> Mark:
    return Mark(f"≤ {value:g}", at_most=value)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the table."""

    what: str
    value: float | None
    unit: str = ""
    mark: Mark | None = None
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"what": self.what, "value": self.value, "unit": self.unit}
        if self.mark and self.value is not None:
            shown |= {"mark": self.mark.text, "met": self.mark.met(self.value)}
        return {**shown, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Part:
    """What one measurement found; `data` is for programs, as raw as it is useful."""

    name: str
    rows: list[Row]
    data: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def as_json(about: Mapping[str, Any], parts: list[Part]) -> str:
    return json.dumps(
        {
            **about,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": [row.as_json() for part in parts for row in part.rows],
            "parts": {part.name: part.data for part in parts},
        },
        indent=2,
        ensure_ascii=False,
    )


def print_table(
    console: Console, about: Mapping[str, Mapping[str, str]], parts: list[Part]
) -> None:
    for group in about.values():
        for name, value in group.items():
            console.print(f"[bold]{name}[/bold]  {value}", highlight=False)
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("")
    table.add_column("mark", justify="right")
    table.add_column("detail", style="dim", overflow="fold")
    for part in parts:
        for row in part.rows:
            table.add_row(row.what, _number(row.value), row.unit, _mark(row), row.detail)
        table.add_section()
    console.print(table)


def write_json(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _mark(row: Row) -> str:
    if row.mark is None:
        return ""
    if row.value is None:
        return row.mark.text
    colour = "green" if row.mark.met(row.value) else "red"
    return f"[{colour}]{row.mark.text}[/{colour}]"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
