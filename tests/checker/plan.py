"""What a run did to its contexts on purpose, and what may therefore come of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agent.models import context_key
from agent.services import BUILT_IN

Types = str | Collection[str]
"""One type of error, or several of which it may be any."""

PARKS = frozenset(service.name for service in BUILT_IN if service.on_ambiguous == "park")


@dataclass(frozen=True)
class Plan:
    """What was done on purpose. Of all contexts that it does not name it says: they complete.

    Args:
        failed: those that are to fail, with the type of their error.
        may_fail: those that may fail so, or else complete.
        tolerated: types that any context may fail with, where chance decides which. Whether
            it may at all, such as `OutcomeUnknown` of a service that parks only, is checked too.
        cancelled: those that somebody asked to cancel; it may have come too late.
        retried: those that an operator retried; how often does not matter.
        touched: those that another program overwrote, deleted or inserted anew. What it wrote
            itself is then not held against us.
        gone: those of them that may be missing in the end.
        unfinished: those that need not be final.
        parks: the services that park what may have had its effect.
        permanent: types of error, of worker classes of one's own, that need no second attempt.
        dead_letters: messages (by their id in Redis) that the broker has put aside.
    """

    failed: Mapping[Any, Types] = field(default_factory=dict)
    may_fail: Mapping[Any, Types] = field(default_factory=dict)
    tolerated: Collection[str] = ()
    cancelled: Collection[Any] = ()
    retried: Collection[Any] = ()
    touched: Collection[Any] = ()
    gone: Collection[Any] = ()
    unfinished: Collection[Any] = ()
    parks: Collection[str] = PARKS
    permanent: Collection[str] = ()
    dead_letters: Collection[str] = ()

    def must_fail_with(self, key: str) -> frozenset[str]:
        """The types of which one is the error of this context; none when it is not to fail."""
        return self._types.get(key, frozenset())

    def may_fail_with(self, key: str) -> frozenset[str]:
        """All types that this context may fail with."""
        possible = self._possible.get(key, frozenset())
        return self.must_fail_with(key) | possible | frozenset(self.tolerated)

    def was(self, name: str, key: str) -> bool:
        """Whether a context is among those `cancelled`, `retried`, `touched`, …"""
        return key in self._named[name]

    @cached_property
    def _types(self) -> Mapping[str, frozenset[str]]:
        return _by_key(self.failed)

    @cached_property
    def _possible(self) -> Mapping[str, frozenset[str]]:
        return _by_key(self.may_fail)

    @cached_property
    def _named(self) -> Mapping[str, frozenset[str]]:
        names = ("cancelled", "retried", "touched", "gone", "unfinished")
        return {name: frozenset(map(context_key, getattr(self, name))) for name in names}


def _by_key(types: Mapping[Any, Types]) -> Mapping[str, frozenset[str]]:
    return {
        context_key(context_id): frozenset({given} if isinstance(given, str) else given)
        for context_id, given in types.items()
    }
