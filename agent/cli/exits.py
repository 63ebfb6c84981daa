"""How a command ends: its exit code, and one line on stderr for each thing that is wrong."""

from __future__ import annotations

import os
import re

from agent.errors import (
    AgentError,
    BrokerUnavailable,
    ConfigurationError,
    EmbeddedServerFailed,
    MissingServer,
    RequestInvalid,
    StillInProgress,
    StoreUnavailable,
)

FINE = 0
FAILED = 1
BAD_REQUEST = 2
TIMED_OUT = 3
UNAVAILABLE = os.EX_UNAVAILABLE
TRY_AGAIN = os.EX_TEMPFAIL
WRONG_SETTING = os.EX_CONFIG
INTERRUPTED = 130

EPILOG = """Exit codes: 0 fine; 1 what was asked for failed; 2 usage, or a bad request; 3 not final
within the time of --wait; 69 a server is unavailable; 75 the same is under way, try again; 78 a
setting is wrong; 130 Ctrl-C."""

_NOISE = re.compile(r" \(configured timeouts: [^)]*\)")
"""What the driver adds, and no reader needs."""

_CODES: tuple[tuple[type[AgentError], int], ...] = (
    (ConfigurationError, WRONG_SETTING),
    (StoreUnavailable, UNAVAILABLE),
    (BrokerUnavailable, UNAVAILABLE),
    (MissingServer, UNAVAILABLE),
    (EmbeddedServerFailed, UNAVAILABLE),
    (RequestInvalid, BAD_REQUEST),
    (StillInProgress, TRY_AGAIN),
)


def exit_code(error: AgentError) -> int:
    """The exit code that an error stands for."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def explain(error: AgentError) -> str:
    """An error for people: it names the server that is away, and holds no secret."""
    from agent.logs import mask_secrets

    prefix = "MongoDB: " if isinstance(error, StoreUnavailable) else ""
    return mask_secrets(f"{prefix}{_NOISE.sub('', str(error))}")
