"""The steps that a template lists: read, and checked as a whole. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import RequestInvalid
from agent.intake.rules import MAX_ATTEMPTS
from agent.intake.values import is_text, kind_of, listed, shown, told
from agent.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, Step, Template
from agent.placeholders import references
from agent.services import ServiceRegistry

MAX_STEPS = 500
"""Of one template. Each is a context, and those of a parent are read together."""
KEY = r"^[A-Za-z0-9_-]{1,60}$"
"""A step's key, which stands in placeholders between dots."""


class _Given(BaseModel):
    """A step as a template has it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: Annotated[str, Field(pattern=KEY)]
    service_type: str
    service_template: dict[str, Any]
    after: list[str] = Field(default_factory=list, max_length=MAX_STEPS)
    on_failure: Literal["cancel", "continue"] = "cancel"
    priority: int | None = Field(default=None, ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY)
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)
    description: str | None = None


def read_steps(
    value: Any, *, template_id: str, version: str, registry: ServiceRegistry
) -> tuple[Step, ...]:
    """The steps of a template, in the order in which they are listed.

    Raises:
        RequestInvalid: they cannot be carried out; every problem is named.
    """
    if not isinstance(value, list) or not value:
        what = "an empty list" if value == [] else f"{kind_of(value)}, not a list"
        raise RequestInvalid(f"`steps` is {what}")
    if len(value) > MAX_STEPS:
        raise RequestInvalid(f"it lists {len(value)} steps; at most {MAX_STEPS} are carried out")
    problems: list[str] = []
    steps: list[Step] = []
    for number, entry in enumerate(value, 1):
        where = _where(number, entry)
        try:
            step = _read_step(entry, template_id, version, registry)
        except RequestInvalid as exc:
            problems.append(f"{where}: {exc}")
        else:
            steps.append(step)
    if not problems:  # what refers to a step that could not be read is not wrong by itself
        problems = [*_problems_of_keys(steps)] or [*_problems_of_order(steps)]
    if problems:
        raise RequestInvalid(told(problems))
    return tuple(steps)


def _where(number: int, entry: Any) -> str:
    key = entry.get("key") if isinstance(entry, Mapping) else None
    return f"step {shown(key) if is_text(key) else number}"


def _read_step(entry: Any, template_id: str, version: str, registry: ServiceRegistry) -> Step:
    if not isinstance(entry, Mapping):
        raise RequestInvalid(f"is {kind_of(entry)}, not an object")
    try:
        given = _Given.model_validate(dict(entry))
    except ValidationError as exc:
        raise RequestInvalid(told([_problem(error) for error in exc.errors()])) from None
    service = registry.find(given.service_type)
    if service is None:
        known = ", ".join(registry)
        raise RequestInvalid(f"`service_type` is {shown(given.service_type)}; known are {known}")
    return Step(
        key=given.key,
        template=Template(
            id=template_id,
            version=version,
            service_type=service.name,
            service_template=given.service_template,
        ),
        after=tuple(dict.fromkeys(given.after)),
        on_failure=given.on_failure,
        priority=given.priority,
        max_attempts=given.max_attempts,
    )


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{shown(place)} is no field of a step; there are {', '.join(_Given.model_fields)}"
    if error["type"] == "missing":
        return f"`{place}` is missing"
    if place == "key" and error["type"] == "string_pattern_mismatch":
        return "`key` must be up to 60 letters, digits, - and _"
    return f"`{place}`: {error['msg']}"


def _problems_of_keys(steps: Sequence[Step]) -> Iterator[str]:
    """Keys that stand there twice, and steps that are not there."""
    counts = Counter(step.key for step in steps)
    for key, count in counts.items():
        if count > 1:
            yield f"{count} steps have the key {shown(key)}"
    for step in steps:
        unknown = [shown(name) for name in step.after if name not in counts]
        if unknown:
            what = "is no step" if len(unknown) == 1 else "are no steps"
            yield (
                f"step {shown(step.key)}: `after` names {listed(unknown)}, which {what}; "
                f"there are {listed([*counts])}"
            )


def _problems_of_order(steps: Sequence[Step]) -> Iterator[str]:
    """A circle, or placeholders for steps that need not be over."""
    after = {step.key: step.after for step in steps}
    before = _all_before(after)
    if len(before) < len(after):
        yield f"steps wait for each other: {' → '.join(_circle(after, before.keys()))}"
        return
    for step in steps:
        there = before[step.key]
        others = inputs_beside(step.template, there)
        if others:
            yield f"step {shown(step.key)}: {others} is of no step that it comes after" + (
                f"; it comes after {listed(sorted(there))}" if there else ""
            )


def inputs_beside(template: Template, keys: Collection[str]) -> str:
    """The placeholders of a body for the results of other steps than these, for a message."""
    return listed(
        sorted(
            reference
            for reference in references(template.service_template)
            if reference.namespace == "inputs" and reference.path[0] not in keys
        )
    )


def _all_before(after: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """What is over before each step, near and far; steps of a circle, and behind it, are left out.

    Each step is looked at again only when the last of its own predecessors is known.
    """
    open_ = {key: len(names) for key, names in after.items()}
    behind: dict[str, list[str]] = {key: [] for key in after}
    for key, names in after.items():
        for name in names:
            behind[name].append(key)
    ready = [key for key, count in open_.items() if count == 0]
    before: dict[str, frozenset[str]] = {}
    while ready:
        key = ready.pop()
        before[key] = frozenset(after[key]).union(*(before[name] for name in after[key]))
        for follower in behind[key]:
            open_[follower] -= 1
            if open_[follower] == 0:
                ready.append(follower)
    return before


def _circle(after: Mapping[str, Sequence[str]], done: Any) -> list[str]:
    """A way from a step to itself; each waits for the next."""
    key = next(key for key in after if key not in done)
    way: list[str] = []
    while key not in way:
        way.append(key)
        key = next(name for name in after[key] if name not in done)
    return [*way[way.index(key) :], key]
