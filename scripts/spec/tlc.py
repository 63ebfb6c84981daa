"""Runs TLC on one configuration, and reads what it says."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from scripts.spec.configurations import FOLDER, TEMPORAL, Configuration

LONGEST_SECONDS = 1800.0

_STATES = re.compile(r"^([\d,]+) states generated, ([\d,]+) distinct states found", re.MULTILINE)
_VIOLATED = re.compile(r"^Error: (?:Invariant|Action property) (\w+) is violated", re.MULTILINE)


class Verdict(NamedTuple):
    """What TLC found.

    Args:
        holds: whether all that was asked holds in all states.
        violates: the property of which it found a counterexample.
        states: distinct states that it saw.
    """

    holds: bool
    violates: str | None
    states: int
    seconds: float
    output: str

    def is_expected(self, configuration: Configuration) -> bool:
        """Whether that is what has to come of it."""
        if configuration.violates is None:
            return self.holds
        return self.violates == configuration.violates


def read(output: str, seconds: float) -> Verdict:
    """The verdict in TLC's output; neither `holds` nor `violates` where TLC failed."""
    counted = _STATES.findall(output)
    violated = _VIOLATED.search(output)
    violates = violated.group(1) if violated else None
    if violates is None and "Error: Temporal properties were violated." in output:
        violates = TEMPORAL
    holds = "Model checking completed. No error has been found." in output
    states = int(counted[-1][1].replace(",", "")) if counted else 0
    return Verdict(holds, violates, states, seconds, output)


def check(configuration: Configuration, java: str, jar: Path, folder: Path = FOLDER) -> Verdict:
    """Have TLC look at all states of a configuration, in one thread."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spec-") as scratch:
        command = [
            java, "-XX:+UseSerialGC", "-Xmx1g", f"-Djava.io.tmpdir={scratch}",
            "-cp", str(jar), "tlc2.TLC", "-workers", "1", "-lncheck", "final",
            "-metadir", scratch, "-config", f"{configuration.name}.cfg",
            f"{configuration.module}.tla",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return read("TLC did not end", time.monotonic() - began)
    return read(done.stdout + done.stderr, time.monotonic() - began)
