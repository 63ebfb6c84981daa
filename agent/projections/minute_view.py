"""The minutes as charts want them: one list for each figure, one item for each step of time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

import redis

from agent.projections.connection import translate_redis_errors
from agent.projections.minutes import COUNTS, KEPT_SECONDS, LATENCY_BOUNDS, MINUTE_SECONDS, WIDTH
from agent.projections.reply_words import MOST

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Series:
    """One service over some time; all lists are of one length, the last item is of now.

    Args:
        starts: when each step begins, in seconds since 1970.
        calls: attempts that reached their end, `completed` and `failed` are contexts.
        retried: attempts after which the context is tried again.
        p50: seconds that half of the calls took at most, about; None where there was none. `p95`
            likewise of nineteen in twenty.
        pending: at the end of each step, as the bridge saw it; None where it did not look. So are
            `scheduled` and `in_flight`.
        is_exact: False (`≈`) where Redis has lost some of it, which was read from what MongoDB
            still knows.
        latencies: how many calls took at most so long, by the bounds of `LATENCY_BOUNDS`; the last
            number is of those that took longer.
        replies: how calls were answered, by the words of `reply_words`.
    """

    starts: list[int]
    completed: list[int]
    failed: list[int]
    retried: list[int]
    calls: list[int]
    p50: list[float | None]
    p95: list[float | None]
    pending: list[int | None]
    scheduled: list[int | None]
    in_flight: list[int | None]
    is_exact: bool
    latencies: list[list[int]] = field(default_factory=list)
    replies: list[dict[str, int]] = field(default_factory=list)


def read_minutes(
    client: redis.Redis,
    namespace: str,
    service_types: Iterable[str],
    since: timedelta = HOUR,
    *,
    step: timedelta = MINUTE,
) -> dict[str, Series]:
    """What happened lately, by service, in two round trips.

    Args:
        since: how far back; a day at most.
        step: whole minutes that one item stands for.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    services = list(service_types)
    width = max(1, round(step / MINUTE))
    prefix = f"{namespace}:minutes:"
    with translate_redis_errors(), client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.hget(f"{prefix}state", "exact_from")
        (seconds, _), exact_from = pipeline.execute()
        last = int(seconds) // MINUTE_SECONDS
        first = last - min(round(since / MINUTE), KEPT_SECONDS // MINUTE_SECONDS) + 1
        first -= first % width
        hours = range(first // 60, last // 60 + 1)
        for service in services:
            for hour in hours:
                pipeline.hgetall(f"{prefix}{service}:{hour}")
        found = iter(pipeline.execute())
    is_exact = exact_from is not None and int(exact_from) <= first
    starts = range(first, last + 1, width)
    return {
        service: _series({hour: next(found) for hour in hours}, starts, width, is_exact)
        for service in services
    }


def _series(
    hours: Mapping[int, Mapping[str, str]], starts: range, width: int, is_exact: bool
) -> Series:
    steps = [
        [minute for minute in range(start, start + width) if minute // 60 in hours]
        for start in starts
    ]
    rows = [_sum(_numbers(hours[m // 60].get(str(m % 60)), WIDTH) for m in each) for each in steps]
    samples = [_last(_sample(hours[m // 60].get(f"{m % 60}s")) for m in each) for each in steps]
    counts = dict(zip(COUNTS, zip(*(row[: len(COUNTS)] for row in rows), strict=True), strict=True))
    latencies = [row[len(COUNTS) :] for row in rows]
    replies = [_together(hours[m // 60].get(f"{m % 60}r") for m in each) for each in steps]
    pending, scheduled, in_flight = zip(*samples, strict=True)
    return Series(
        starts=[start * MINUTE_SECONDS for start in starts],
        **{name: list(values) for name, values in counts.items()},
        p50=[quantile(each, 0.5) for each in latencies],
        p95=[quantile(each, 0.95) for each in latencies],
        pending=list(pending),
        scheduled=list(scheduled),
        in_flight=list(in_flight),
        is_exact=is_exact,
        latencies=latencies,
        replies=replies,
    )


def quantile(counts: Sequence[int], part: float) -> float | None:
    """Seconds that this part of the calls took at most, evened out between two bounds; None where
    there was no call. What took longer than the last bound is told as that."""
    total = sum(counts)
    if not total:
        return None
    wanted, below = part * total, 0
    for count, lower, upper in zip(counts, (0.0, *LATENCY_BOUNDS), LATENCY_BOUNDS, strict=False):
        if count and below + count >= wanted:
            return lower + (upper - lower) * (wanted - below) / count
        below += count
    return float(LATENCY_BOUNDS[-1])


def _sum(rows: Iterable[Sequence[int]]) -> list[int]:
    total = [0] * WIDTH
    for row in rows:
        total = list(map(int.__add__, total, row))
    return total


def _together(texts: Iterable[str | None]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for text in texts:
        total.update(_words(text))
    return dict(total)


def _words(text: str | None) -> dict[str, int]:
    """How often each word was counted; what cannot be read counts nothing."""
    try:
        read: Any = json.loads(text) if text is not None else {}
        return {word: int(count) for word, count in islice(read.items(), MOST)}
    except (ValueError, TypeError, OverflowError, AttributeError):
        return {}


def _last(samples: Iterable[Sequence[int] | None]) -> Sequence[int | None]:
    last: Sequence[int | None] = (None, None, None)
    for sample in samples:
        last = last if sample is None else sample
    return last


def _sample(text: str | None) -> Sequence[int] | None:
    return None if text is None else _numbers(text, 3)


def _numbers(text: str | None, width: int) -> list[int]:
    """A row of so many; what another version, or somebody else, wrote is cut or filled up."""
    try:
        read: Any = json.loads(text) if text is not None else []
        numbers = [int(each) for each in read][:width]
    except (ValueError, TypeError, OverflowError):
        numbers = []
    return numbers + [0] * (width - len(numbers))
