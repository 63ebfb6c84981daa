"""Addresses and keys: read, and never shown."""

from __future__ import annotations

import pytest

from agent.client import AgentClient, NotConfigured
from agent.client.address import address_from, read_address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:8000/", "http://h:8000"), ("https://h/agent", "https://h"),
        ("mongodb://u:hush@a:1,b:2/x?replicaSet=r", "mongodb://a:1,b:2"),
        ("mongodb://u:hu@sh@a:1", "mongodb://a:1"), ("mongodb+srv://u:hush@c.d", "mongodb+srv://c.d"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    """And without what stands behind the host."""
    address = read_address(url)
    assert address.shown == shown
    assert "hush" not in repr(address)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("h:8000", None), ("ftp://h", None), ("http://", None), ("http://u:hush@h", None),
        ("http://u:hush", None), ("http://h?key=hush", None), ("http://h", "hush\nhush"),
        ("http://h", "hüsh-hush"), ("http://h", ""), ("mongodb://h", "hush"),
        ("http://[hush", None),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_without_being_quoted(url: str, key: str | None) -> None:
    """Neither the key nor the address is in the message, nor in what led to it."""
    with pytest.raises(NotConfigured) as caught:
        AgentClient(url, api_key=key)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_environment_names_the_address() -> None:
    """HTTP first."""
    both = {"AGENT_URL": "http://h", "AGENT_API_KEY": "k", "MONGODB_URI": "mongodb://m"}
    assert (address_from(both).url, address_from(both).api_key) == ("http://h", "k")
    assert address_from({**both, "AGENT_URL": "", "AGENT_API_KEY": ""}).is_mongodb
    with pytest.raises(NotConfigured, match="set AGENT_URL"):
        address_from({})


def test_a_database_is_for_mongodb() -> None:
    """By HTTP there is none to choose."""
    with pytest.raises(NotConfigured, match="`database` is for"):
        AgentClient("http://h", database="x")
