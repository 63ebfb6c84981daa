"""`agent hash-password`: what stands behind a name in `AGENT_DASHBOARD_USERS`."""

from __future__ import annotations

import sys

import typer

from agent.cli.output import say
from agent.errors import RequestInvalid


def hash_password() -> None:
    """Ask for a password, twice, and print its hash; without a terminal read it from stdin.

    Put it into AGENT_DASHBOARD_USERS behind a name and a role: "ann:operator:HASH".
    """
    from agent.dashboard.entry.passwords import LONGEST, SHORTEST, hash_password

    if sys.stdin is not None and sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline(LONGEST + 2).rstrip("\r\n") if sys.stdin is not None else ""
    if not SHORTEST <= len(password) <= LONGEST:
        raise RequestInvalid(f"a password has {SHORTEST} to {LONGEST} characters")
    say(hash_password(password))
