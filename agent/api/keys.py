"""The keys of the API: who holds which, and what each may do. Pure.

`AGENT_API_KEYS="name:scope+scope:secret …"`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from agent.errors import ConfigurationError
from agent.settings import Settings

VARIABLE = "AGENT_API_KEYS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FORM = "write name:scope+scope:secret, several separated by spaces"


class Scope(StrEnum):
    """What a key may be for."""

    READ = "read"
    SUBMIT = "submit"
    OPERATE = "operate"
    ADMIN = "admin"


IMPLIED: Mapping[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.SUBMIT: frozenset({Scope.SUBMIT}),
    Scope.OPERATE: frozenset({Scope.OPERATE, Scope.READ}),
    Scope.ADMIN: frozenset(Scope),
}
"""What each scope brings along: whoever operates has to see what."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a key by its name, or anybody where none is needed."""

    name: str
    scopes: frozenset[Scope]


ANYBODY = Caller("anybody", frozenset(Scope))
"""Whoever asks while there are no keys."""


@dataclass(frozen=True, slots=True)
class _Key:
    caller: Caller
    digest: bytes


class Keys:
    """All keys. Their secrets are not kept, only what they are compared by."""

    def __init__(self, keys: Iterable[tuple[Caller, str]] = ()) -> None:
        self._keys = [_Key(caller, _digest(secret.encode())) for caller, secret in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def holder_of(self, secret: bytes) -> Caller | None:
        """Whose secret it is. Takes as long whichever it is, and if it is nobody's."""
        digest, found = _digest(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key.caller
        return found


def _digest(secret: bytes) -> bytes:
    return sha256(secret).digest()


def read_keys(settings: Settings) -> Keys:
    """The keys of the settings.

    Raises:
        ConfigurationError: one cannot be read; the message quotes no secret.
    """
    value = settings.api_keys
    words = value.get_secret_value().split() if value is not None else []
    read = [_read_key(number, word) for number, word in enumerate(words, 1)]
    for what, values in (
        ("name", [caller.name for caller, _ in read]),
        ("secret", [secret for _, secret in read]),
    ):
        if len(set(values)) < len(values):
            raise ConfigurationError(f"{VARIABLE}: two keys have the same {what}")
    return Keys(read)


def check_doors(settings: Settings, keys: Keys, *, has_users: bool = False) -> None:
    """Refuse to open `web` to a network without anything that says who may come in.

    Args:
        has_users: whether there is anybody who may sign in to the dashboard.

    Raises:
        ConfigurationError: in production there are neither keys nor users.
    """
    if settings.env == "production" and not keys and not has_users:
        raise ConfigurationError(
            f"{VARIABLE} is not set, nor is AGENT_DASHBOARD_USERS, and in production `web` does "
            f"not start without keys or users: {_FORM}; "
            "AGENT_ENV=development opens it to this machine alone"
        )


def _read_key(number: int, word: str) -> tuple[Caller, str]:
    name, _, rest = word.partition(":")
    named, _, secret = rest.partition(":")
    where = f"{VARIABLE}, key {number}"
    if not _NAME.fullmatch(name) or not secret:
        raise ConfigurationError(f"{where}: is no key; {_FORM}")
    try:
        scopes = [Scope(each) for each in named.split("+")]
    except ValueError:
        raise ConfigurationError(
            f"{where} ({name}): there is a scope that is none of {', '.join(Scope)}; {_FORM}"
        ) from None
    return Caller(name, frozenset().union(*(IMPLIED[scope] for scope in scopes))), secret
