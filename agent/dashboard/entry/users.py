"""Who may sign in: the names, roles and password hashes of the settings. Pure.

`AGENT_DASHBOARD_USERS="name:role:hash …"`. A role is a word for scopes of the API: whoever may
change something there may change it here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from agent.api.keys import IMPLIED, Caller, Scope
from agent.dashboard.entry.passwords import read_hash
from agent.errors import ConfigurationError
from agent.settings import Settings

VARIABLE = "AGENT_DASHBOARD_USERS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_FORM = "write name:role:hash, several separated by spaces; `agent hash-password` makes the hash"


class Role(StrEnum):
    """What somebody may do here."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: IMPLIED[Scope.READ],
    Role.OPERATOR: IMPLIED[Scope.OPERATE],
    Role.ADMIN: IMPLIED[Scope.ADMIN],
}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in."""

    name: str
    role: Role
    hash: str

    @property
    def caller(self) -> Caller:
        return Caller(self.name, SCOPES[self.role])

    @property
    def print(self) -> str:
        """Changes with the password, and then ends the sessions of before."""
        return sha256(self.hash.encode()).hexdigest()[:16]


Users = Mapping[str, User]


def read_users(settings: Settings) -> Users:
    """The users of the settings, by name.

    Raises:
        ConfigurationError: one cannot be read, or no sessions can be signed in production; the
            message quotes no hash.
    """
    value = settings.dashboard_users
    words = value.get_secret_value().split() if value is not None else []
    users: dict[str, User] = {}
    for number, word in enumerate(words, 1):
        user = _read_user(number, word)
        if user.name in users:
            raise ConfigurationError(f"{VARIABLE}: there are two users {user.name}")
        users[user.name] = user
    if users and settings.secret_key is None and settings.env == "production":
        raise ConfigurationError(
            "AGENT_SECRET_KEY is not set, and sessions of the dashboard are signed by it: set it "
            "to 32 random characters or more, the same for every `web`"
        )
    return users


def _read_user(number: int, word: str) -> User:
    name, _, rest = word.partition(":")
    role, _, hash = rest.partition(":")
    where = f"{VARIABLE}, user {number}"
    if not _NAME.fullmatch(name) or not hash:
        raise ConfigurationError(f"{where}: is no user; {_FORM}")
    if role not in frozenset(map(str, Role)):
        raise ConfigurationError(f"{where} ({name}): the role is none of {', '.join(Role)}")
    try:
        return User(name, Role(role), read_hash(hash))
    except ValueError as exc:
        raise ConfigurationError(f"{where} ({name}): the hash {exc}") from None
