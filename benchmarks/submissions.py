"""`POST /v1/requests` at a hundred a second, while the bridge and the workers carry them out.

Each is sent when its time has come, whether those before it are answered or not.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles

from benchmarks.bench import Bench, Size
from benchmarks.contenders import Line
from benchmarks.report import Part, Row, at_most
from benchmarks.stage import staged
from benchmarks.web import TEMPLATE, Web, ask, running_web

A_SECOND = 100
SECONDS = Size(30, quick=6)
CONNECTIONS = 32
WARM_UP = 200
BODY = json.dumps({"template": TEMPLATE, "user_id": "user-1", "data": {"name": "Ann"}})


def measure(bench: Bench) -> Part:
    count = A_SECOND * bench.sized(SECONDS)
    bench.say(f"submissions: {count} requests, {A_SECOND} a second")
    with staged(bench, Line()) as stage, running_web(bench, stage.room, stage.service) as web:
        stage.warm_up(WARM_UP)
        submit_steadily(web, WARM_UP)
        took = submit_steadily(web, count)
        stage.wait_until_done(WARM_UP + count)
        held = web.peak_megabytes
    percentiles = quantiles(took, n=100)
    detail = f"{count} requests, {A_SECOND}/s; the longest: {max(took):.1f} ms"
    rows = [
        Row("POST /v1/requests: p50", percentiles[49], "ms", None, detail),
        Row("POST /v1/requests: p99", percentiles[98], "ms", at_most(50),
            f"web held {held:.0f} MB at most"),
    ]  # fmt: skip
    return Part("submissions", rows, {"milliseconds": [round(each, 2) for each in took]})


def submit_steadily(web: Web, count: int) -> list[float]:
    """Submit at an even pace; the milliseconds until each was answered."""
    kept = threading.local()

    def submit(due: float) -> float:
        if not hasattr(kept, "connection"):
            kept.connection = web.connect()
        connection: http.client.HTTPConnection = kept.connection
        ask(connection, "POST", "/v1/requests", BODY)
        return 1000 * (time.monotonic() - due)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        begin, answers = time.monotonic(), []
        for number in range(count):
            due = begin + number / A_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            answers.append(pool.submit(submit, due))
        return [each.result() for each in answers]
