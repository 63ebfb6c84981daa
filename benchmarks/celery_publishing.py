"""Publishing to Celery from the benchmark's own process, as an application would."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from benchmarks.bench import Room
from benchmarks.celery_app import QUEUE, TASK, make_app


class Publisher:
    """Sends tasks, many to a round trip where Kombu can (5.7 can).

    Args:
        pipelined: whether it should.
    """

    def __init__(self, room: Room, *, pipelined: bool) -> None:
        url = room.settings.redis_url.get_secret_value()
        self._app = make_app(url, room.settings.namespace)
        self._pipelined = pipelined

    def publish(self, ids: Sequence[str]) -> None:
        """Send one task for each context."""
        with self._app.producer_pool.acquire(block=True) as producer, contextlib.ExitStack() as on:
            if self._pipelined and hasattr(producer, "batch"):
                on.enter_context(producer.batch())
            for context_id in ids:
                self._app.send_task(
                    TASK, (context_id,), queue=QUEUE, producer=producer, ignore_result=True
                )

    def close(self) -> None:
        self._app.close()
