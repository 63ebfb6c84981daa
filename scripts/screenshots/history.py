"""The minutes of the last day, as workers and bridges would have counted them."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

from agent.models import Document
from agent.projections.minutes import WIDTH, Minutes, Sample
from agent.projections.remembered import replies_of, rows_of
from scripts.screenshots.backlog import DAY, DENSE, MINUTE, OUTAGE, SPARE, WAITING
from scripts.screenshots.families import BATCH_AGE, DONE, ITEMS, RUNNING
from scripts.screenshots.works import CHURN

LEFT = ITEMS - DONE - RUNNING


def write_history(minutes: Minutes, documents: Sequence[Document], chance: random.Random) -> None:
    """Count what these contexts did, and say what waited meanwhile."""
    present = int(minutes.now() // MINUTE)
    minutes.rebuild(_rows(documents, present), present, replies_of(documents, 0.0))
    minutes.rebuild({}, present)  # and nothing is missing
    for back in range(DAY // MINUTE, -1, -1):
        minutes.sample(present - back, _samples(back * MINUTE, chance))


def _rows(documents: Sequence[Document], present: int) -> dict[tuple[str, int], list[int]]:
    rows: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0] * WIDTH)
    for is_completed in (True, False):
        some = [each for each in documents if (each["status"] == "completed") is is_completed]
        for (service, minute), row in rows_of(some, 0.0).items():
            weight = SPARE if is_completed and present - minute > DENSE / MINUTE else 1
            mine = rows[service, minute]
            mine[:] = [one + weight * other for one, other in zip(mine, row, strict=True)]
    return dict(rows)


def _samples(age: float, chance: random.Random) -> dict[str, Sample]:
    wave = 1 + math.sin(age / 4000) / 2
    grown = WAITING * max(0.0, 1 - age / (OUTAGE + 60))
    return {
        "GENERATIVE": Sample(round(24 * wave + chance.uniform(0, 9)), 20, chance.randint(5, 12)),
        CHURN.service_type: Sample(
            round(grown + chance.uniform(2, 14) * wave),
            round(185 * max(0.0, 1 - age / OUTAGE)) + 3,
            0 if age < OUTAGE else chance.randint(4, 14),
        ),
        "COMMUNICATION": Sample(
            chance.randint(0, 6) + (0 if age > BATCH_AGE else LEFT + round(DONE * age / BATCH_AGE)),
            39,
            chance.randint(0, 5) if age > BATCH_AGE else RUNNING,
        ),
    }
