"""The steps of a request as a graph: who stands where, and which lines join them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.admission.surroundings import key_of
from agent.dashboard.words import id_path, text
from agent.models import Document

WIDTH, HEIGHT, GAP, SPACE = 176, 50, 56, 16
MARGIN = 4
"""Around all of it, so that the frame of a box is not cut."""
LONGEST = 19
MOST = 80
"""Of more steps no picture is drawn: nobody could read it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step, by the corner of its box; `is_here` is the one whose page it is."""

    x: int
    y: int
    width: int
    height: int
    key: str
    status: str
    service: str
    path: str
    is_here: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """All steps, in as many columns as there are steps in a row."""

    width: int
    height: int
    nodes: list[Node]
    lines: list[str]


def graph_of(steps: Sequence[Document], here: object = None) -> Graph | None:
    """The graph; None for none, or too many of them.

    Args:
        here: the id of the step on whose page it is drawn.
    """
    if not steps or len(steps) > MOST:
        return None
    columns = _columns(steps)
    filled: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    for step in steps:
        column = columns[str(step["_id"])]
        row = filled.get(column, 0)
        filled[column] = row + 1
        places[str(step["_id"])] = (
            MARGIN + column * (WIDTH + GAP), MARGIN + row * (HEIGHT + SPACE)
        )  # fmt: skip
    return Graph(
        width=max(x for x, _ in places.values()) + WIDTH + MARGIN,
        height=max(y for _, y in places.values()) + HEIGHT + MARGIN,
        nodes=[_node(step, *places[str(step["_id"])], is_here=step["_id"] == here)
               for step in steps],
        lines=[_line(places[before], places[str(step["_id"])])
               for step in steps for before in _after(step) if before in places],
    )  # fmt: skip


def _columns(steps: Sequence[Document]) -> dict[str, int]:
    """How many steps come before each at least; a circle, which no template has, ends somewhere."""
    columns = {str(step["_id"]): 0 for step in steps}
    for _ in range(len(steps)):
        changed = False
        for step in steps:
            before = [columns[each] for each in _after(step) if each in columns]
            column = min(max(before, default=-1) + 1, len(steps) - 1)
            changed = changed or columns[str(step["_id"])] != column
            columns[str(step["_id"])] = column
        if not changed:
            break
    return columns


def _after(step: Mapping[str, object]) -> list[str]:
    listed = step.get("after")
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


def _node(step: Document, x: int, y: int, *, is_here: bool) -> Node:
    return Node(x, y, WIDTH, HEIGHT, text(key_of(step), LONGEST), text(step.get("status"), LONGEST),
                text(step.get("service_type"), LONGEST), id_path(step["_id"]), is_here)  # fmt: skip


def _line(one: tuple[int, int], other: tuple[int, int]) -> str:
    x1, y1, x2, y2 = one[0] + WIDTH, one[1] + HEIGHT // 2, other[0], other[1] + HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
