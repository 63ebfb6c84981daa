"""What Redis holds of a run, and the rules about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.checker.plan import Plan


@dataclass(frozen=True, slots=True)
class Broker:
    """What Redis holds of one line.

    Args:
        waiting: the messages in each queue, by their ids in Redis.
        unacked: those that a worker process has fetched and not finished.
        kept: those whose text lies in a queue's hash.
        dead: those that were put aside.
        named: the contexts that are named there, by the Redis key that names them.
        known: those of them that MongoDB has.
    """

    waiting: Mapping[str, Collection[str]] = field(default_factory=dict)
    unacked: Mapping[str, Collection[str]] = field(default_factory=dict)
    kept: Mapping[str, Collection[str]] = field(default_factory=dict)
    dead: Mapping[str, Collection[str]] = field(default_factory=dict)
    named: Mapping[str, Sequence[str]] = field(default_factory=dict)
    known: Collection[str] = ()


def queues_are_empty(broker: Broker, plan: Plan) -> Iterator[str]:
    """No message waits for ever."""
    for queue, messages in broker.waiting.items():
        if messages:
            yield f"{queue}: {len(messages)} messages wait"


def nothing_is_unacked(broker: Broker, plan: Plan) -> Iterator[str]:
    """No message stays in the hands of a process, dead or alive."""
    for acks, messages in broker.unacked.items():
        if messages:
            yield f"{acks}: {len(messages)} messages are fetched and not acknowledged"


def no_text_is_left(broker: Broker, plan: Plan) -> Iterator[str]:
    """No text of a message lies about that no list names."""
    for queue, messages in broker.kept.items():
        if messages:
            yield f"{queue}: the text of {len(messages)} messages is left"


def dead_letters_are_planned(broker: Broker, plan: Plan) -> Iterator[str]:
    """Put aside is only what cannot be read."""
    for queue, messages in broker.dead.items():
        if others := sorted(set(messages) - set(plan.dead_letters)):
            yield f"{queue}: dead letters that nobody planned: {others[:5]}"


def names_only_what_there_is(broker: Broker, plan: Plan) -> Iterator[str]:
    """Whatever is named there is a context that MongoDB has, or was deleted on purpose."""
    known = set(broker.known)
    for place, keys in broker.named.items():
        others = sorted(key for key in keys if key not in known and not plan.was("gone", key))
        if others:
            yield f"{place}: names what MongoDB does not have: {others[:5]}"
