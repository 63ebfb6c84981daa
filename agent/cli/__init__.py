"""The command line `agent`: one file a verb, and `main`, its entry point.

What is heavy is imported where it is used, so that `agent --help` comes at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command of this process's arguments, and end with its exit code."""
    from agent.cli.app import run

    raise SystemExit(run(sys.argv[1:]))
