"""`python -m scripts.bugs [NAME …]`: makes bugs and says which tests notice; 1 when one goes
unnoticed."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.bugs.made import Bug, BugCannotBeMade, read_bugs

FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
RAN_WITH_FAILURES = 1
"""What pytest exits with when tests ran and some failed; whatever else is wrong is no proof."""
SHOWN = 6


def failing_tests(bug: Bug) -> tuple[list[str], str]:
    """The tests that fail with a bug, and what pytest printed.

    Raises:
        BugCannotBeMade: the code has changed.
    """
    with tempfile.TemporaryDirectory(prefix=f"bug-{bug.name}-") as folder:
        copy = bug.make(Path(folder) / "project")
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2",
             "--dist", "loadfile", *bug.tests],
            cwd=copy, capture_output=True, text=True, check=False,
        )  # fmt: skip
    found = FAILED.findall(ran.stdout) if ran.returncode == RAN_WITH_FAILURES else []
    return found, ran.stdout + ran.stderr


def main(arguments: Sequence[str] | None = None) -> int:
    """Make them one after the other."""
    bugs = read_bugs()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bugs", description="Make deliberate bugs; some test has to fail."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a bug; all without any")
    parser.add_argument("--list", action="store_true", help="say which there are, and make none")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - {bug.name for bug in bugs}:
        parser.error(f"no bug is called {', '.join(sorted(unknown))}; see --list")
    chosen = [bug for bug in bugs if not options.names or bug.name in options.names]
    if options.list:
        for bug in chosen:
            print(f"{bug.name:<26}{bug.says}")
        return 0
    unnoticed = [bug.name for bug in chosen if not _notice(bug)]
    if unnoticed:
        print(f"nothing noticed: {', '.join(unnoticed)}", file=sys.stderr)
    return 1 if unnoticed else 0


def _notice(bug: Bug) -> bool:
    """Make one, and print what noticed it."""
    began = time.monotonic()
    try:
        found, said = failing_tests(bug)
    except BugCannotBeMade as exc:
        print(exc, file=sys.stderr)
        return False
    print(f"{bug.name}: {bug.says}")
    print(f"  {len(found)} tests fail, in {time.monotonic() - began:.0f} s", flush=True)
    for test in found[:SHOWN]:
        print(f"  {test}")
    if len(found) > SHOWN:
        print(f"  … and {len(found) - SHOWN} more")
    if not found:
        print(said[-3000:], file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
