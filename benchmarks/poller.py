"""The system that this one replaces: a worker that polls, and carries out its batch one by one.

`python -m benchmarks.poller SERVICE_URL`, at its defaults: every second up to five contexts, each
claimed, called and written in turn, in one process.
"""

from __future__ import annotations

import asyncio
import sys

from pymongo import ReturnDocument

from agent.models import Document, Status
from agent.settings import load_settings
from benchmarks.baseline import Baseline
from benchmarks.contexts import SERVICE_TYPE

POLL_INTERVAL_SECONDS = 1.0
BATCH_SIZE = 5


async def poll(baseline: Baseline) -> None:
    while True:
        for context in await asyncio.to_thread(_pending, baseline):
            await asyncio.to_thread(_carry_out, baseline, context)
        await asyncio.sleep(POLL_INTERVAL_SECONDS)


def _pending(baseline: Baseline) -> list[Document]:
    runnable = {"status": str(Status.PENDING), "available_at": {"$lte": baseline.now}}
    found = baseline.contexts.find({"service_type": SERVICE_TYPE, **runnable})
    return list(found.limit(BATCH_SIZE))


def _carry_out(baseline: Baseline, pending: Document) -> None:
    context = baseline.contexts.find_one_and_update(
        {"_id": pending["_id"], "status": str(Status.PENDING)},
        {"$set": {"status": str(Status.PROCESSING)}, "$inc": {"fence": 1, "attempt": 1}},
        return_document=ReturnDocument.AFTER,
    )
    if context is not None:
        results = baseline.call(context)
        baseline.write_back(context, results, status=Status.PROCESSING)


if __name__ == "__main__":
    asyncio.run(poll(Baseline(load_settings(), sys.argv[1])))
