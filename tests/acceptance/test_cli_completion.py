"""`agent completion`: shells complete verbs and options."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.acceptance.commands import AGENT, Agent


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to complete for")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("agent", "ta"), {"tail"}),
        (("agent", "services", ""), {"list", "show", "pause", "resume"}),
        (("agent", "tail", "--st"), {"--status"}),
    ],
    ids=["a verb", "a verb of verbs", "an option"],
)
def test_bash_completes(agent: Agent, words: tuple[str, ...], expected: set[str]) -> None:
    """By the script that `agent completion bash` prints."""
    asked = " ".join(f"'{word}'" for word in words)
    script = f"""
        eval "$({AGENT} completion bash)"
        COMP_WORDS=({asked}); COMP_CWORD={len(words) - 1}
        _agent_completion {AGENT}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-euc", script],
        capture_output=True, text=True, timeout=60, env=agent.environment, check=True,
    )  # fmt: skip
    assert (set(done.stdout.split()), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(agent: Agent, shell: str) -> None:
    """It asks this program; a shell that is not known is a usage error."""
    done = agent("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_AGENT_COMPLETE=complete_{shell}" in done.out
    assert agent("completion", "tcsh").code == 2
