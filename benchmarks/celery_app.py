"""The same work as a Celery task: the message carries the id; read, call, write back.

Made from the environment at import, since `celery -A benchmarks.celery_app worker` imports it.
The settings are the best of those tried: a prefetch of 1, 4, 16 and no limit, acknowledging early,
no results in Redis, no events, no gossip, publishing in batches and one by one.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache

from celery import Celery

from agent.models import Status
from agent.settings import load_settings
from benchmarks.baseline import Baseline

QUEUE = "generative"
TASK = "generate"
SETTINGS = {
    "task_ignore_result": True,
    "task_acks_late": False,
    "task_default_queue": QUEUE,
    "worker_prefetch_multiplier": 16,
    "worker_disable_rate_limits": True,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "broker_connection_retry_on_startup": True,
    "broker_pool_limit": 64,
}


def make_app(redis_url: str, namespace: str) -> Celery:
    app = Celery("benchmarks", broker=redis_url)
    options = {"global_keyprefix": f"{namespace}:"}
    app.conf.update(SETTINGS, broker_transport_options=options)
    return app


_lock = threading.Lock()
app = make_app(os.environ.get("REDIS_URL", ""), os.environ.get("AGENT_NAMESPACE", ""))


@lru_cache(maxsize=1)
def _connected() -> Baseline:
    return Baseline(load_settings(), os.environ["GENERATION_BASE_URL"])


def baseline() -> Baseline:
    """This process's connections, made when its first task comes; threads ask for it at once."""
    with _lock:
        return _connected()


@app.task(name=TASK)  # type: ignore[untyped-decorator]  # celery has no types
def generate(context_id: str) -> None:
    here = baseline()
    context = here.contexts.find_one({"_id": context_id, "status": str(Status.PENDING)})
    if context is not None:
        here.write_back(context, here.call(context), status=Status.PENDING)
