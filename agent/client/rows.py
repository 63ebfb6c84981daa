"""The items of a batch as they are sent: written as they come, and once more for another try."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from agent.client.fields import to_json

IN_MEMORY_BYTES = 4 * 1024 * 1024
"""Of what was sent so far; more of it lies in a temporary file."""
BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the items of a body."""

    head: bytes = b""
    between: bytes = b"\n"
    tail: bytes = b"\n"


JSON_LINES = Frame()


def lines_of(items: Iterable[Any], frame: Frame = JSON_LINES) -> Iterator[bytes]:
    """Each item as JSON, in its frame.

    Raises:
        RequestRefused: an item holds something that JSON does not have; its number is named.
    """
    before, number = frame.head, 0
    for number, item in enumerate(items, 1):
        yield before + to_json(item, f"item {number}")
        before = frame.between
    yield frame.tail if number else frame.head + frame.tail


async def async_lines_of(
    items: Iterable[Any] | AsyncIterable[Any], frame: Frame = JSON_LINES
) -> AsyncIterator[bytes]:
    """The same of items that may take their time.

    Raises:
        RequestRefused: as above.
    """
    if not isinstance(items, AsyncIterable):
        for line in lines_of(items, frame):
            yield line
        return
    before, number = frame.head, 0
    async for item in items:
        number += 1
        yield before + to_json(item, f"item {number}")
        before = frame.between
    yield frame.tail if number else frame.head + frame.tail


class Sent:
    """What was read of a source that can be read only once, for another try."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._size = 0
        self.error: Exception | None = None
        """What ended the source before its end: there is no other try then."""

    def keep(self, block: bytes) -> None:
        self._file.seek(self._size)
        self._file.write(block)
        self._size += len(block)

    def at(self, place: int) -> bytes:
        """A block of what was kept, from a place on; empty at its end."""
        self._file.seek(place)
        return self._file.read(BLOCK_BYTES)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what goes wrong with the source."""
        try:
            yield
        except Exception as exc:
            self.error = exc
            raise

    def close(self) -> None:
        self._file.close()


class _Kept:
    """What both kinds of blocks have: what was sent, until it is not needed any more."""

    def __init__(self) -> None:
        self._sent = Sent()

    @property
    def error(self) -> Exception | None:
        """What ended the source before its end."""
        return self._sent.error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sent.close()


class Blocks(_Kept, Iterable[bytes]):
    """Lines in blocks. Each iteration begins with the first, also after one that was broken off."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        super().__init__()
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        place = 0
        while block := self._sent.at(place) or self._next():
            place += len(block)
            yield block

    def _next(self) -> bytes:
        block = bytearray()
        with self._sent.noting():
            for line in self._lines:
                block += line
                if len(block) >= BLOCK_BYTES:
                    break
        self._sent.keep(bytes(block))
        return bytes(block)


class AsyncBlocks(_Kept, AsyncIterable[bytes]):
    """The same for event loops."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._lines = lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        place = 0
        while block := self._sent.at(place) or await self._next():
            place += len(block)
            yield block

    async def _next(self) -> bytes:
        block = bytearray()
        with self._sent.noting():
            async for line in self._lines:
                block += line
                if len(block) >= BLOCK_BYTES:
                    break
        self._sent.keep(bytes(block))
        return bytes(block)


class ItemLines:
    """The items of a batch in a download of JSON lines, each once, however often it is begun."""

    def __init__(self) -> None:
        self._told = 0
        self.begin()

    def begin(self) -> None:
        """From the first line on again."""
        self._rest = b""
        self._line = 0

    def take(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The items that are whole with these bytes, and were not told before."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from self._item(line)

    def end(self) -> Iterator[dict[str, Any]]:
        """The last one, behind which no line may have ended."""
        rest, self._rest = self._rest, b""
        yield from self._item(rest)

    def _item(self, line: bytes) -> Iterator[dict[str, Any]]:
        if not line.strip():
            return
        self._line += 1
        if self._line > self._told:
            self._told = self._line
            yield json.loads(line)
