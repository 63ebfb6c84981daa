"""Worker classes of one's own, in a module outside the project; one of them kills its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.services import ServiceType
from tests.faults.line import ROOT, Line, LineFactory
from tests.recovery import Recovery

TRANSLATION = ServiceType("TRANSLATION", "TRANSLATION", "/translate")
HAZARD = ServiceType("HAZARD", "HAZARD", "/hazard")

MODULE = '''
"""Two services that are plain Python."""
import os
import signal
import time

from agent.services import ServiceType
from agent.workers.worker_base import ClientWorker


class TranslationWorker(ClientWorker):
    service = ServiceType("TRANSLATION", "TRANSLATION", "/translate")

    def call(self, context, request, *, attempt):
        return {"text": context["request"]["data"]["text"].upper(), "attempt": attempt.number}


class HazardWorker(ClientWorker):
    service = ServiceType("HAZARD", "HAZARD", "/hazard")

    def call(self, context, request, *, attempt):
        kills = context["request"]["data"].get("kills")
        time.sleep(0.5 if kills else 1.5)
        if kills:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"survived": True}
'''


@pytest.fixture(scope="module")
def line(new_line: LineFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A line whose environment names two classes, and nothing else of them."""
    folder: Path = tmp_path_factory.mktemp("outside")
    (folder / "outside_workers.py").write_text(MODULE)
    names = ("outside_workers:TranslationWorker", "outside_workers:HazardWorker")
    environment = {
        "AGENT_WORKERS": " ".join(names),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "HAZARD_BASE_TIMEOUT": "20",
    }
    with pytest.MonkeyPatch.context() as patch, new_line(**environment) as line:
        patch.syspath_prepend(folder)
        line.learn_services(names)
        line.start_bridge()
        yield line


def test_a_worker_class_outside_the_project_drains_its_contexts(line: Line) -> None:
    """Named in `AGENT_WORKERS`, it has its queue, its actor and its place in the bridge."""
    line.start_worker(TRANSLATION, threads=4)
    ids = line.submit(TRANSLATION, 30, data={"text": "good morning"})
    line.wait_until_final(ids, 30)
    line.assert_sound(ids)
    results = [document["results"] for document in line.documents(ids)]
    assert results == [{"text": "GOOD MORNING", "attempt": 1}] * 30


def test_a_context_that_kills_its_process_every_time_is_found_out(
    line: Line, recovery: Recovery
) -> None:
    """It ends as poison in a process of its own, and none of 50 neighbours fails for it."""
    line.start_worker(HAZARD, threads=60, restart=True)
    neighbours = line.submit(HAZARD, 50)
    [poison] = line.submit(HAZARD, data={"kills": True})
    ids = [*neighbours, poison]
    with recovery.of(
        "a context kills its process every time; the process is started again",
        at_most="twice lease + rescue + the wait after a crash + a start, 3 + 5 + 10 + 3 s",
        until="it is found out and its 50 neighbours are final",
    ):
        line.wait_until_final(ids, 120)
    line.assert_sound(ids, failed={poison: "PoisonContext"})
    attempts = line.document(poison)["attempts"]
    assert [each["outcome"] for each in attempts] == ["lost", "lost", "failed"]
    hit = [each for each in line.documents(neighbours) if len(each["attempts"]) > 1]
    assert hit, "it died alone, which shows nothing about its neighbours"
