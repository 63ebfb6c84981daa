"""The least that the work can cost: threads that claim, read, call and write, with no broker.

`python -m benchmarks.bare_loop SERVICE_URL THREADS` is one process of it. It has no bridge, no
heartbeat, no retries, no rescue, no admission.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from datetime import timedelta
from uuid import uuid4

from pymongo import ASCENDING

from agent.models import Document, Status
from agent.settings import load_settings
from benchmarks.baseline import Baseline
from benchmarks.contexts import SERVICE_TYPE

EMPTY_PAUSE_SECONDS = 0.02
LEASE = timedelta(seconds=30)


class Share:
    """What one process has claimed: in batches of twice its threads, handed out one by one."""

    def __init__(self, baseline: Baseline, threads: int) -> None:
        self._baseline = baseline
        self._batch = 2 * threads
        self._lock = threading.Lock()
        self._claimed: deque[Document] = deque()

    def next(self) -> Document | None:
        with self._lock:
            if not self._claimed:
                self._claimed.extend(self._claim())
            return self._claimed.popleft() if self._claimed else None

    def _claim(self) -> list[Document]:
        """One guarded update of the first candidates, and reading back what it got."""
        contexts, now, claim_id = self._baseline.contexts, self._baseline.now, uuid4().hex
        runnable = {"status": str(Status.PENDING), "available_at": {"$lte": now}}
        candidates = contexts.find({"service_type": SERVICE_TYPE, **runnable}, {"_id": 1})
        order = [("priority", ASCENDING), ("available_at", ASCENDING)]
        ids = [found["_id"] for found in candidates.sort(order).limit(self._batch)]
        if not ids:
            return []
        lease = {"owner": self._baseline.name, "claim_id": claim_id, "expires_at": now + LEASE}
        contexts.update_many(
            {"_id": {"$in": ids}, **runnable},
            {
                "$set": {"status": str(Status.PROCESSING), "updated_at": now, "lease": lease},
                "$inc": {"fence": 1, "attempt": 1},
            },
        )
        return list(contexts.find({"_id": {"$in": ids}, "lease.claim_id": claim_id}))


def work(baseline: Baseline, share: Share) -> None:
    while True:
        context = share.next()
        if context is None:
            time.sleep(EMPTY_PAUSE_SECONDS)
            continue
        results = baseline.call(context)
        baseline.write_back(context, results, status=Status.PROCESSING)


def main(service_url: str, count: int) -> None:
    baseline = Baseline(load_settings(), service_url)
    share = Share(baseline, count)
    threads = [threading.Thread(target=work, args=(baseline, share)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
