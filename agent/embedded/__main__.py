"""`python -m agent.embedded`: both servers until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from agent.embedded.servers import EmbeddedServers
from agent.errors import AgentError


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())
    try:
        with EmbeddedServers(options.data, durable=not options.no_sync) as servers:
            ready = {"MONGODB_URI": servers.mongodb_uri, "REDIS_URL": servers.redis_url}
            _announce(json.dumps(ready), options.ready_file)
            told_to_stop.wait()
    except AgentError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    finally:
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)
    return 0


def _announce(ready: str, ready_file: Path | None) -> None:
    sys.stdout.write(f"{ready}\n")
    sys.stdout.flush()
    if ready_file:
        whole = ready_file.with_name(f"{ready_file.name}.new")
        whole.write_text(f"{ready}\n", encoding="utf-8")
        whole.replace(ready_file)  # whoever waits for the file finds it complete


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent.embedded",
        description="Run MongoDB (SecantusDB) and Redis until SIGTERM or Ctrl-C.",
    )
    parser.add_argument("--data", type=Path, default=Path(".agent/servers"), help="data folder")
    parser.add_argument("--ready-file", type=Path, help="written, as JSON, when both answer")
    parser.add_argument(
        "--no-sync", action="store_true", help="quicker; a crash may lose acknowledged writes"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
