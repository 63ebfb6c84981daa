"""From a seed to its plan: which faults, on what, when, for how long, and over which work. Pure.

All chance of a run is drawn here, from `random.Random(seed)` alone.
"""

from __future__ import annotations

from random import Random

from tests.nemesis.drawn_faults import draw_faults
from tests.nemesis.drawn_work import draw_work
from tests.nemesis.plan import Plan

SERVICES = ("GENERATIVE", "ANALYSIS", "COMMUNICATION")
WORKERS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (SERVICES, SERVICES),
    (("GENERATIVE", "ANALYSIS"), ("COMMUNICATION", "ANALYSIS"), SERVICES),
    (("GENERATIVE",), ("COMMUNICATION",), SERVICES),
)
"""Each service has two processes at least, so that one goes on where the other died."""
BRIDGES = (1, 2, 2, 3)


def plan_of(seed: int) -> Plan:
    """The schedule of a seed: always the same one."""
    random = Random(seed)
    bridges = random.choice(BRIDGES)
    workers = random.choice(WORKERS)
    faults = draw_faults(random, bridges=bridges, workers=len(workers))
    return Plan(seed, bridges, workers, faults, draw_work(random, faults))
