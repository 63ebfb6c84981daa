"""Ways to the servers that are cut, stalled, slow, or lose the answer to one command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from tests.faults.proxy import Proxy
from tests.nemesis.injection import Injection

ANSWER_SECONDS = 3.0


class _Way(Injection):
    """What is done to one or several proxies at once."""

    def __init__(self, ways: Sequence[Proxy]) -> None:
        assert ways
        self._ways = ways

    def end(self) -> None:
        for way in self._ways:
            way.mend()


class Cut(_Way):
    """Connections end, and new ones are refused."""

    def begin(self) -> None:
        for way in self._ways:
            way.cut()

    def has_struck(self) -> bool:
        return all(way.refused for way in self._ways)


class Stalled(_Way):
    """Whatever is sent stays on the way until it is mended."""

    def begin(self) -> None:
        for way in self._ways:
            way.stall()

    def has_struck(self) -> bool:
        return all(way.stalled for way in self._ways)


class Slow(_Way):
    """Everything comes so much later.

    Args:
        url: of the server behind, for a question that shows it.
    """

    def __init__(self, ways: Sequence[Proxy], url: str, seconds: float) -> None:
        super().__init__(ways)
        self._url, self._seconds = url, seconds

    def begin(self) -> None:
        for way in self._ways:
            way.delay(self._seconds)

    def has_struck(self) -> bool:
        began = time.monotonic()
        answered = all(_answers(way.through(self._url)) for way in self._ways)
        return answered and time.monotonic() - began >= 2 * self._seconds * len(self._ways)


class AnswerLost(_Way):
    """A command takes place, and its connection ends in place of the answer.

    Args:
        text: what stands in such a command.
    """

    def __init__(self, ways: Sequence[Proxy], text: bytes) -> None:
        super().__init__(ways)
        self._text = text
        self._before = 0

    def begin(self) -> None:
        self._before = self._lost()
        for way in self._ways:
            way.lose_answer_to(self._text)

    def has_struck(self) -> bool:
        return self._lost() > self._before

    def _lost(self) -> int:
        return sum(way.lost_answers for way in self._ways)


def _answers(url: str) -> bool:
    """Whether a server answers there."""
    if url.startswith("redis"):
        with (
            suppress(RedisError, OSError),
            redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS) as client,
        ):
            return bool(client.ping())
        return False
    milliseconds = round(ANSWER_SECONDS * 1000)
    with (
        suppress(PyMongoError),
        MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=milliseconds) as client,
    ):
        return bool(client.admin.command("ping"))
    return False
