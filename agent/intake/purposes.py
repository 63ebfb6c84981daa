"""Purposes: what a request is for, and so its template. Pure but for where they are kept.

One is chosen by its id, or by its keywords in the request's text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import PurposeNotFound, PurposeUnclear, RequestInvalid
from agent.intake.rules import MAX_ATTEMPTS
from agent.intake.values import as_text, as_version, is_text, kind_of, listed, shown, told
from agent.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, Document
from agent.services import ServiceRegistry

_WORD = re.compile(r"\w+")


class StoredPurposes(Protocol):
    """The collection `purposes`."""

    def find_purpose(self, purpose_id: str) -> Mapping[str, Any] | None:
        """The purpose of this id, or None."""
        ...

    def list_purposes(self) -> Sequence[Mapping[str, Any]]:
        """All of them; `_id` is the purpose's id."""
        ...


class NoPurposes:
    """Where none are kept."""

    def find_purpose(self, purpose_id: str) -> None:
        """There is none."""

    def list_purposes(self) -> tuple[()]:
        return ()


class Defaults(BaseModel):
    """What a purpose gives to each of its requests, unless the request says otherwise."""

    model_config = ConfigDict(extra="forbid", strict=True)

    priority: int | None = Field(default=None, ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY)
    tags: dict[str, Any] | list[str] | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose that was read and found right.

    Args:
        version: of the template; the highest when None.
        phrases: its keywords as words, each once.
        document: the purpose as it is to be stored, other fields kept.
    """

    id: str
    template_id: str
    version: str | None = None
    service_type: str | None = None
    phrases: frozenset[tuple[str, ...]] = frozenset()
    defaults: Defaults = field(default_factory=Defaults)
    document: Document = field(default_factory=dict, repr=False)


class Match(NamedTuple):
    """The purpose that a text chose, how well it fits, and the next best, if any fits at all."""

    purpose: Purpose
    score: int
    runner_up: tuple[str, int] | None


def read_purpose(purpose_id: str, entry: Any, registry: ServiceRegistry) -> Purpose:
    """A purpose as it is stored or stands in a file.

    Raises:
        RequestInvalid: it is none; every problem is named.
    """
    if not isinstance(entry, Mapping):
        raise RequestInvalid(f"is {kind_of(entry)}, not an object")
    template_id = as_text(entry.get("template_id"))
    problems = [] if template_id else ["`template_id` is missing or no string"]
    if not purpose_id:
        problems.append("its id is empty")
    named = entry.get("service_type")
    service = registry.find(named)
    if named is not None and service is None:
        problems.append(f"`service_type` is {shown(named)}; known are {', '.join(registry)}")
    phrases = _phrases(entry.get("keywords"), problems)
    defaults = _defaults(entry.get("defaults"), problems)
    if problems or template_id is None:
        raise RequestInvalid(told(problems))
    return Purpose(
        id=purpose_id,
        template_id=template_id,
        version=as_version(entry.get("version")),
        service_type=service.name if service is not None else None,
        phrases=phrases,
        defaults=defaults,
        document={str(name): value for name, value in entry.items() if name != "_id"},
    )


def read_purposes(
    content: Mapping[str, Any], registry: ServiceRegistry
) -> tuple[list[Purpose], list[str]]:
    """The purposes of a file; one that is wrong costs only itself, and is told."""
    purposes: list[Purpose] = []
    problems: list[str] = []
    for purpose_id, entry in content.items():
        try:
            purposes.append(read_purpose(purpose_id, entry, registry))
        except RequestInvalid as exc:
            problems.append(f"purpose {shown(purpose_id)}: {exc}")
    return purposes, problems


def words_of(text: str) -> list[str]:
    """The words of a text, in any case of letters; what is no letter or digit parts them."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def choose(text: str, purposes: Iterable[Purpose]) -> Match:
    """The purpose whose keywords the text holds.

    Each keyword that stands in the text as whole words counts as many points as it has words,
    however often it stands there.

    Raises:
        PurposeUnclear: none fits, or several alike; the message lists the candidates.
    """
    candidates = list(purposes)
    scores = sorted(_scores(text, candidates), key=lambda each: (-each[1], each[0].id))
    if not scores:
        ids = listed([purpose.id for purpose in candidates])
        raise PurposeUnclear(
            f"no template is named, and `text` has no keyword of a purpose; there are {ids}"
            if ids
            else "no template is named, and no purpose is stored that `text` could choose"
        )
    best, score = scores[0]
    alike = [purpose.id for purpose, each in scores if each == score]
    if len(alike) > 1:
        raise PurposeUnclear(
            f"`text` fits several purposes alike, with score {score}: {listed(alike)}; name one "
            "in `purpose_id`"
        )
    runner_up = (scores[1][0].id, scores[1][1]) if len(scores) > 1 else None
    return Match(best, score, runner_up)


def _scores(text: str, purposes: Iterable[Purpose]) -> Iterator[tuple[Purpose, int]]:
    """Each purpose of which a keyword stands in the text, and its score."""
    words = words_of(text)
    there, line = frozenset(words), f" {' '.join(words)} "
    for purpose in purposes:
        score = sum(
            len(phrase)
            for phrase in purpose.phrases
            if there.issuperset(phrase) and (len(phrase) == 1 or f" {' '.join(phrase)} " in line)
        )
        if score:
            yield purpose, score


def find_purpose(stored: StoredPurposes, purpose_id: str, registry: ServiceRegistry) -> Purpose:
    """The stored purpose of this id.

    Raises:
        PurposeNotFound: there is none; the message lists those that are there.
        RequestInvalid: it cannot be used; every problem is named.
    """
    found = stored.find_purpose(purpose_id)
    if found is None:
        ids = [str(each["_id"]) for each in stored.list_purposes()]
        raise PurposeNotFound(
            f"no purpose {shown(purpose_id)} is stored; there are {listed(ids) or 'none'}"
        )
    try:
        return read_purpose(purpose_id, found, registry)
    except RequestInvalid as exc:
        raise RequestInvalid(f"purpose {shown(purpose_id)}: {exc}") from exc


def usable_purposes(stored: StoredPurposes, registry: ServiceRegistry) -> Iterator[Purpose]:
    """Those stored that are right; what another program stored wrongly chooses nothing."""
    for found in stored.list_purposes():
        try:
            yield read_purpose(str(found["_id"]), found, registry)
        except RequestInvalid:
            continue


def _phrases(keywords: Any, problems: list[str]) -> frozenset[tuple[str, ...]]:
    if keywords is None:
        return frozenset()
    if not isinstance(keywords, list) or not all(map(is_text, keywords)):
        what = "a list of other things" if isinstance(keywords, list) else kind_of(keywords)
        problems.append(f"`keywords` is {what}, not a list of strings")
        return frozenset()
    phrases = {word: tuple(words_of(word)) for word in keywords}
    empty = [shown(word) for word, phrase in phrases.items() if not phrase]
    if empty:
        problems.append(f"`keywords`: no word stands in {listed(empty)}")
    return frozenset(phrases.values())


def _defaults(value: Any, problems: list[str]) -> Defaults:
    try:
        return Defaults() if value is None else Defaults.model_validate(value)
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            where = ".".join(str(part) for part in ("defaults", *error["loc"]))
            extra = f"; there are {', '.join(Defaults.model_fields)}"
            message = (
                "is no default" + extra if error["type"] == "extra_forbidden" else error["msg"]
            )
            problems.append(f"`{where}`: {message}")
        return Defaults()
