"""What is made for an event loop, used from a thread: so that the same tests hold for both."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from anyio.from_thread import BlockingPortal

END = object()


class Bridged:
    """An object whose coroutines are carried out on a loop, and waited for."""

    def __init__(self, inner: Any, portal: BlockingPortal) -> None:
        self._inner = inner
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._calling(found) if callable(found) else found

    def __repr__(self) -> str:
        return repr(self._inner)

    def _calling(self, found: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            async def act() -> Any:
                value = found(*args, **options)
                return await value if inspect.isawaitable(value) else value

            return self._wrapped(self._portal.call(act))

        return call

    def _wrapped(self, value: Any) -> Any:
        if hasattr(value, "__aiter__"):
            return self._each(value)
        ours = type(value).__module__.startswith("agent.client.async_")
        return Bridged(value, self._portal) if ours else value

    def _each(self, of: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(of, END)

        while (each := self._portal.call(following)) is not END:
            yield each
