"""Reads what Redis holds of one line: every key of its namespaces, so that nothing slips by."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

import redis

from agent.models import context_key
from agent.store.ejson import decode_id
from tests.checker.broker import Broker

VIEWS = ("retries", "dead")
"""Sorted sets of contexts that people look at."""


def read_broker(
    client: redis.Redis,
    namespace: str,
    dramatiq_namespace: str,
    known: Callable[[], Collection[str]] = tuple,
) -> Broker:
    """What there is now.

    Args:
        client: one that decodes replies.
        known: the contexts that MongoDB has; asked only where one is named.
    """
    waiting, unacked, kept, dead = {}, {}, {}, {}
    named: dict[str, list[str]] = {}
    for key in _keys(client, f"{dramatiq_namespace}:*"):
        name = key.removeprefix(f"{dramatiq_namespace}:")
        if name == "__heartbeats__":
            continue
        if name.startswith("__acks__."):
            unacked[name] = _members(client, key)
        elif name.endswith(".XQ.msgs"):
            continue  # what is dead was planned, or is found by its id
        elif name.endswith(".msgs"):
            texts = _texts(client, key)
            named[name] = [found for text in texts.values() for found in _named_in(text)]
            kept[name] = frozenset(texts)
        elif name.endswith(".XQ"):
            dead[name] = _members(client, key)
        else:
            waiting[name] = _members(client, key)
    for view in VIEWS:
        named[view] = sorted(_members(client, f"{namespace}:{view}"))
    is_named = any(named.values())
    return Broker(waiting, unacked, kept, dead, named, known() if is_named else ())


def _keys(client: redis.Redis, pattern: str) -> Iterator[str]:
    for key in client.scan_iter(pattern, count=1000):
        yield str(key)


def _members(client: redis.Redis, key: str) -> Collection[str]:
    """The members of a list or a set, whichever it is now."""
    kind = str(client.type(key))
    found: Any = ()
    if kind == "list":
        found = client.lrange(key, 0, -1)
    elif kind == "set":
        found = client.smembers(key)
    elif kind == "zset":
        found = client.zrange(key, 0, -1)
    return frozenset(map(str, found))


def _texts(client: redis.Redis, key: str) -> dict[str, str]:
    """The messages of a hash; one that is no text at all names nothing."""
    found: Any = client.hkeys(key)
    texts = {}
    for name in found:
        try:
            texts[str(name)] = str(client.hget(key, name))
        except UnicodeDecodeError:
            texts[str(name)] = ""
    return texts


def _named_in(text: str) -> Iterator[str]:
    """The context that a message is for, if it can be read."""
    try:
        context_id = decode_id(json.loads(text)["args"][0])
    except (ValueError, LookupError, TypeError):
        return
    yield context_key(context_id)
