"""Exit codes, which scripts rely on."""

from __future__ import annotations

import pytest

from agent import errors
from agent.cli.exits import exit_code, explain


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ConfigurationError("x"), 78),
        (errors.StoreUnavailable("x"), 69),
        (errors.BrokerUnavailable("x"), 69),
        (errors.MissingServer("x"), 69),
        (errors.EmbeddedServerFailed("x"), 69),
        (errors.RequestInvalid("x"), 2),
        (errors.UnknownServiceType("x"), 2),
        (errors.TemplateNotFound("x"), 2),
        (errors.ContextNotFound("x"), 1),
        (errors.IllegalTransition("x"), 1),
        (errors.NotStorable("x"), 1),
        (errors.IdempotencyKeyReused("x"), 2),
        (errors.StillInProgress("x"), 75),
    ],
)
def test_each_error_has_its_exit_code(error: errors.AgentError, expected: int) -> None:
    """Wrong settings, servers that are away, bad requests and failures can be told apart."""
    assert exit_code(error) == expected


def test_an_error_names_the_server_and_no_password() -> None:
    """What the driver says of a URI is told without what it holds, and without its settings."""
    said = "mongodb://root:hush@db:27017: refused (configured timeouts: connectTimeoutMS: 5.0ms)"
    assert explain(errors.StoreUnavailable(said)) == "MongoDB: mongodb://***@db:27017: refused"
