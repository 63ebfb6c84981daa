"""`agent submit --callback`: taken where its host is on the list, refused elsewhere."""

from __future__ import annotations

from tests.acceptance.commands import Agent
from tests.receiver import SECRET

HOSTS = {"AGENT_WEBHOOK_HOSTS": "hooks.example", "AGENT_WEBHOOK_SECRET": SECRET}
SUBMIT = ("submit", "--service", "GENERATIVE", "--body", "{}", "--callback")


def test_a_callback_is_taken_where_its_host_is_on_the_list(agent: Agent) -> None:
    """Exit code 2 and the name of the setting otherwise; the secret is never said."""
    taken = agent(*SUBMIT, "https://hooks.example/agent", **HOSTS)
    assert (taken.code, taken.err) == (0, "")
    refused = agent(*SUBMIT, "https://evil.example/", **HOSTS)
    assert (refused.code, refused.out) == (2, "")
    assert "`callback_url`: evil.example:443 is no host of AGENT_WEBHOOK_HOSTS" in refused.err
    without = agent(*SUBMIT, "https://hooks.example/agent")
    assert without.code == 2
    assert "AGENT_WEBHOOK_HOSTS names no host" in without.err
    wrong = agent(*SUBMIT, "https://hooks.example/agent", **{**HOSTS, "AGENT_WEBHOOK_SECRET": "x"})
    assert wrong.code == 78
    assert "secret 1 does not begin with whsec_" in wrong.err
    assert SECRET not in refused.err + wrong.err
