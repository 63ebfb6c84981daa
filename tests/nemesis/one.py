"""One seed in a process of its own: `python -m tests.nemesis.one SEED FOLDER`.

Writes `report.json` into the folder, and what is going on to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.conftest import OURS
from tests.nemesis.run import run_seed

REPORT = "report.json"


def main(seed: int, folder: Path) -> None:
    """Run it; SIGTERM ends it and all that it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in [name for name in os.environ if OURS.fullmatch(name)]:
        del os.environ[name]  # what the environment says of servers and settings is not meant here
    began = time.monotonic()
    report = run_seed(seed, folder, lambda text: _say(seed, time.monotonic() - began, text))
    (folder / REPORT).write_text(report.as_json())


def _say(seed: int, seconds: float, text: str) -> None:
    sys.stderr.write(f"seed {seed}: {seconds:5.1f} s  {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
