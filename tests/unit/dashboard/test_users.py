"""Users of the dashboard, their passwords, sessions and tries: plain values, no server."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from agent.api.keys import Scope
from agent.dashboard.entry.login_limit import MOST_OF_A_NAME, LoginLimit, address_of
from agent.dashboard.entry.passwords import hash_password, is_right, read_hash
from agent.dashboard.entry.sessions import LIFETIME, Sessions
from agent.dashboard.entry.users import Role, read_users
from agent.errors import ConfigurationError
from agent.settings import Settings

HASH = hash_password("correct horse battery")
HUSH = "hush-hush"
KEY = SecretStr("k" * 32)


def settings_of(users: str, **more: object) -> Settings:
    return Settings(dashboard_users=SecretStr(users), secret_key=KEY, **more)


def test_a_hash_verifies_its_own_password_alone() -> None:
    """It is argon2id, in signs that no shell reads as its own."""
    assert read_hash(HASH).startswith("$argon2id$")
    assert set(HASH) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert is_right("correct horse battery", read_hash(HASH))
    assert not is_right("correct horse", read_hash(HASH))
    assert not is_right("correct horse battery", None)


def test_roles_are_scopes_of_the_api() -> None:
    """One vocabulary for people and programs."""
    users = read_users(settings_of(f"ann:viewer:{HASH} bo:operator:{HASH} cy:admin:{HASH}"))
    assert [user.role for user in users.values()] == list(Role)
    assert users["ann"].caller.scopes == {Scope.READ}
    assert users["bo"].caller.scopes == {Scope.READ, Scope.OPERATE}
    assert users["cy"].caller.scopes == set(Scope)


@pytest.mark.parametrize(
    "users",
    [
        "ann", "ann:viewer", f"ann:boss:{HASH}", f"ann:viewer:{HUSH}", f"a b:viewer:{HASH}",
        f"ann:viewer:{HASH} ann:admin:{HASH}", f":viewer:{HASH}", "ann:viewer:$argon2id$" + HUSH,
        "ann:viewer:" + base64.urlsafe_b64encode(b"$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA")
        .decode().rstrip("="),
    ],
)  # fmt: skip
def test_what_is_no_user_is_refused_without_a_word_of_its_hash(users: str) -> None:
    """A start that fails writes a log."""
    with pytest.raises(ConfigurationError, match="AGENT_DASHBOARD_USERS") as told:
        read_users(settings_of(users))
    assert HUSH not in str(told.value)
    assert HASH not in str(told.value)


def test_in_production_users_want_a_key_for_their_sessions() -> None:
    """Several `web` have to read each other's; in development one is made up."""
    users = SecretStr(f"ann:viewer:{HASH}")
    with pytest.raises(ConfigurationError, match="AGENT_SECRET_KEY"):
        read_users(Settings(dashboard_users=users))
    assert list(read_users(Settings(dashboard_users=users, env="development"))) == ["ann"]


def test_a_session_is_read_until_its_time_is_over() -> None:
    """By any process that has the key, and by no other; using it makes it no longer."""
    now = 1_000_000.0
    sessions = Sessions(KEY, is_secure=True, clock=lambda: now)
    session = sessions.begin("ann", "print")
    cookie = sessions.header(session).partition("=")[2].partition(";")[0]
    assert Sessions(KEY, is_secure=True, clock=lambda: now + 1).read(cookie) == session
    assert Sessions(None, is_secure=True, clock=lambda: now + 1).read(cookie) is None
    signed, _, signature = cookie.rpartition(".")  # the last letter has bits that say nothing
    other = "A" if signature[0] != "A" else "B"
    assert sessions.read(f"{signed}.{other}{signature[1:]}") is None
    now += LIFETIME.total_seconds()
    assert sessions.read(cookie) is None


def test_tries_are_limited_by_name_and_come_back() -> None:
    """From whatever address; the right password forgives those before it."""
    now = 0.0
    limit = LoginLimit(monotonic=lambda: now)
    for number in range(MOST_OF_A_NAME):
        assert limit.take("ann", f"10.0.0.{number}") == 0
    assert limit.take("ann", "10.0.1.1") == 300
    assert limit.take("bo", "10.0.1.1") == 0
    now = 300.0
    assert limit.take("ann", "10.0.1.1") == 0
    limit.forgive("ann")
    assert limit.take("ann", "10.0.1.1") == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("8.8.8.8", ["1.1.1.1"], "8.8.8.8"),
        ("10.0.0.2", ["1.1.1.1, 2.2.2.2"], "2.2.2.2"),
        ("10.0.0.2", [], "10.0.0.2"),
        (None, ["1.1.1.1"], "unknown"),
        ("testclient", ["1.1.1.1"], "testclient"),
    ],
)
def test_whose_word_for_an_address_is_taken(
    peer: str | None, forwarded: list[str], expected: str
) -> None:
    """A proxy's of one's own network; never a stranger's."""
    assert address_of(peer, forwarded) == expected
