"""`agent hash-password`: a password comes in, and what stands for it goes out."""

from __future__ import annotations

import io

import pytest

from agent.dashboard.entry.passwords import is_right
from agent.dashboard.entry.users import read_users
from agent.settings import Settings
from tests.integration.cli.conftest import Commands

PASSWORD = "correct horse battery"


def test_what_it_prints_lets_its_user_in(agent: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line goes into AGENT_DASHBOARD_USERS as it is, and does not show the password."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    said = agent("hash-password")
    assert (said.code, said.err) == (0, "")
    assert PASSWORD not in said.out
    settings = Settings.model_validate({"dashboard_users": f"ann:operator:{said.out.strip()}",
                                        "secret_key": "k" * 32})  # fmt: skip
    ann = read_users(settings)["ann"]
    assert is_right(PASSWORD, ann.hash)


@pytest.mark.parametrize("password", ["", "too short", "x" * 5000], ids=["none", "short", "long"])
def test_a_password_of_no_use_is_refused(
    agent: Commands, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """It says how long one has to be, and repeats nothing of it."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    said = agent("hash-password")
    assert said.code != 0
    assert "a password has 12 to" in said.err
    assert said.out == ""
    assert not password or password not in said.err
