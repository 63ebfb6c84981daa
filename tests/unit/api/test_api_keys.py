"""The keys of the API: how they are written, who holds one, what it allows."""

import pytest
from pydantic import SecretStr

from agent.api.keys import Caller, Keys, Scope, check_doors, read_keys
from agent.errors import ConfigurationError
from agent.settings import Settings

HUSH = "hush-hush"


def keys_of(value: str) -> Keys:
    return read_keys(Settings(api_keys=SecretStr(value)))


def test_a_secret_finds_its_holder() -> None:
    """Name, scopes and secret, parted by colons; a secret may hold further ones."""
    keys = keys_of("ci:submit+read:s1 ops:operate:s:2")
    assert keys.holder_of(b"s1") == Caller("ci", frozenset({Scope.SUBMIT, Scope.READ}))
    assert keys.holder_of(b"s:2") == Caller("ops", frozenset({Scope.OPERATE, Scope.READ}))
    for wrong in (b"", b"s", b"S1", b"s1 ", "s1é".encode()):
        assert keys.holder_of(wrong) is None


def test_admin_may_do_everything() -> None:
    """Whatever scopes there will be."""
    caller = keys_of("boss:admin:s").holder_of(b"s")
    assert caller is not None
    assert caller.scopes == frozenset(Scope)


def test_without_keys_nobody_holds_one() -> None:
    """Not even who sends nothing."""
    keys = read_keys(Settings())
    assert not keys
    assert keys.holder_of(b"") is None


@pytest.mark.parametrize(
    "value",
    [
        HUSH, f"ci:{HUSH}", f":read:{HUSH}", "ci:read:", f"ci::{HUSH}", f"ci:write:{HUSH}",
        f"a b:read:{HUSH}", f"ci:read:{HUSH} ci:read:other", f"a:read:{HUSH} b:read:{HUSH}",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_without_a_word_of_it(value: str) -> None:
    """A start that fails writes a log; the secret is not in it."""
    with pytest.raises(ConfigurationError) as told:
        keys_of(value)
    assert str(told.value).startswith("AGENT_API_KEYS")
    assert HUSH not in str(told.value)


def test_in_production_web_wants_keys() -> None:
    """In development it is open to this machine."""
    with pytest.raises(ConfigurationError, match="AGENT_API_KEYS is not set"):
        check_doors(Settings(), Keys())
    check_doors(Settings(env="development"), Keys())
    check_doors(Settings(), keys_of("ci:read:s"))
