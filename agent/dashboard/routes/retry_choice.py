"""Which retries somebody has chosen: one, some, or all that a filter matches. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from agent.dashboard.asked import PAGE, given
from agent.dashboard.pages import HOME
from agent.dashboard.words import number
from agent.errors import RequestInvalid
from agent.projections.view_pages import RetriesView, ViewFilter
from agent.words import shortened

PATH = f"{HOME}/retries"
FILTERS = {"service": "service", "error": "error_type", "kind": "kind", "template": "template",
           "tag": "tag", "waits": "reason"}  # fmt: skip
MOST_AT_ONCE = 5_000
"""Begun by one press."""
NAMED = 3
"""Ids that stand in the audit."""
_IDS = TypeAdapter(list[str])


def filter_of(asked: Mapping[str, str]) -> ViewFilter:
    """The filter that an address or a form names."""
    return ViewFilter(**{field: asked.get(name) for name, field in FILTERS.items()})


@dataclass(frozen=True, slots=True)
class Choice:
    """What is meant.

    Args:
        ids: of contexts; None where all are meant that the filter matches.
        filters: as they stand in the address.
    """

    ids: Sequence[str] | None
    filters: Mapping[str, str]

    @classmethod
    def asked(cls, ids: Sequence[str], scope: str, filters: Mapping[str, str]) -> Choice:
        """What an address asks about.

        Raises:
            RequestInvalid: nothing is chosen, or more than a page shows.
        """
        if scope == "all":
            return cls(None, filters)
        ids = list(dict.fromkeys(each for each in ids if each))
        if not ids:
            raise RequestInvalid("Choose at least one of the list.")
        if len(ids) > PAGE:
            raise RequestInvalid(f"Choose {PAGE} at most, or all that match a filter.")
        return cls(ids, filters)

    @classmethod
    def confirmed(cls, form: Mapping[str, str]) -> Choice:
        """What a form sends back, once somebody has confirmed it.

        Raises:
            RequestInvalid: it cannot be read.
        """
        try:
            ids = _IDS.validate_json(form.get("ids", "[]"), strict=True)
        except ValidationError:
            raise RequestInvalid("The choice cannot be read; begin at the list again.") from None
        return cls.asked(ids, form.get("scope", ""), given(form, (*FILTERS,)))

    def words(self, view: RetriesView) -> Sequence[str]:
        """The ids of all that are meant now; those that were chosen as they were chosen."""
        return self.ids if self.ids is not None else view.words(filter_of(self.filters))

    def says(self) -> str:
        """The choice in words, for the audit."""
        if self.ids is None:
            told = ", ".join(f"{name} {value}" for name, value in self.filters.items())
            return f"all retries{f' with {told}' if told else ''}"
        if len(self.ids) == 1:
            return self.ids[0]
        named = ", ".join(shortened(each, 60) for each in self.ids[:NAMED])
        return f"{number(len(self.ids))} retries: {named}{', …' if len(self.ids) > NAMED else ''}"
