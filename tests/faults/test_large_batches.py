"""Large batches, through the API and through the CLI, while bridges and workers are killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.services import COMMUNICATION
from tests.faults.batches import MESSAGE, SAFE, ask, assert_delivered_once, done, ended, rows
from tests.faults.line import Line, LineFactory
from tests.faults.processes import Running
from tests.faults.web import Web
from tests.recovery import Recovery
from tests.waiting import wait_until

ROWS = 20_000
LONGEST_SECONDS = 900
AGENT = Path(sys.executable).with_name("agent")


@pytest.fixture
def line(new_line: LineFactory) -> Iterator[Line]:
    with new_line(**SAFE) as line:
        yield line


def start_workers(line: Line) -> list[Running]:
    return [line.start_worker(COMMUNICATION, threads=16, restart=True) for _ in range(2)]


def kill_meanwhile(line: Line, batch_id: Callable[[], str | None]) -> str:
    """The bridge amid the expansion and once more, each worker twice; the id of the batch."""
    workers = start_workers(line)
    found = wait_until(batch_id, 120)
    assert found is not None
    bridge = line.start_bridge()
    wait_until(lambda: line.document(found).get("expanding", {}).get("next", 1), 60, 0.005)
    bridge.kill()
    assert "expanding" in line.document(found)
    bridge = line.start_bridge()
    for number, part in enumerate((0.1, 0.3, 0.5, 0.7)):
        wait_until_done(line, found, part)
        workers[number % 2].kill()
        if part == 0.5:
            bridge.kill()
            bridge = line.start_bridge()
    assert done(line, found) < ROWS
    return found


def wait_until_done(line: Line, batch_id: str, part: float) -> None:
    wait_until(lambda: done(line, batch_id) > part * ROWS, LONGEST_SECONDS, 0.5)


def assert_sound(line: Line, batch_id: str, recovery: Recovery, way: str) -> None:
    with recovery.of(
        f"{ROWS} rows through the {way}, 4 workers and 2 bridges killed; from the last one on",
        at_most="the work itself",
        until="all final",
    ):
        batch = ended(line, batch_id, LONGEST_SECONDS)
    assert_delivered_once(line, batch, ROWS)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_large_batch_through_the_api_takes_effect_once(line: Line, recovery: Recovery) -> None:
    """Every row of 20,000, by the service's own record."""
    web = Web(line)
    batch_id = ask(web, MESSAGE, ROWS)
    kill_meanwhile(line, lambda: batch_id)
    assert_sound(line, batch_id, recovery, "API")
    assert web.batch(batch_id)["progress"]["percentage"] == 100.0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_large_batch_through_the_command_line_takes_effect_once(
    line: Line, recovery: Recovery, tmp_path: Path
) -> None:
    """Likewise, and who waits for it gets a result for each row, in their order."""
    (tmp_path / "message.json").write_text(json.dumps({"id": "message", **MESSAGE}))
    loaded = line.processes.start("cli", str(AGENT), "templates", "load", str(tmp_path))
    assert loaded.wait(60) == 0
    file, results = tmp_path / "rows.csv", tmp_path / "results.jsonl"
    file.write_bytes(b"".join(rows(ROWS)))
    options = ["--template", "message", "--results", str(results), "--json"]
    running = line.processes.start("cli", str(AGENT), "batch", "run", str(file), *options)

    def stored() -> str | None:
        found = line.database["contexts"].find_one({"kind": "parent"}, {"_id": 1})
        return None if found is None else str(found["_id"])

    batch_id = kill_meanwhile(line, stored)
    assert_sound(line, batch_id, recovery, "command line")
    assert running.wait(120) == 0
    written = [json.loads(text) for text in results.read_text().splitlines()]
    assert [each["row"] for each in written] == list(range(1, ROWS + 1))
    assert {each["status"] for each in written} == {"completed"}
