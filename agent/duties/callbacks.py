"""Callbacks: a delivery for each end of a request that somebody wants to be told of.

First the deliveries are stored, under ids that the request and the number of its end give; then the
ends are taken away, under a guard. Whoever dies in between, or does the same at the same time,
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.duties.settle import Settle
from agent.intake.callbacks import delivery_of
from agent.services import WEBHOOK
from agent.store.callbacks import PAGE, told
from agent.store.ends import ends_due
from agent.store.mongo_context_repository import MongoContextRepository

ROUNDS = 20
"""In a row, before something else gets its turn."""


class Callbacks:
    """Stores what has to be delivered. Idempotent, as settle is."""

    def __init__(self, repository: MongoContextRepository) -> None:
        self._repository = repository
        self._max_attempts = repository.settings.service(WEBHOOK).max_attempts

    def run(self) -> int:
        """Store a delivery for each end that has none, within bounds; how many.

        Raises:
            StoreUnavailable: MongoDB did not answer; the next run goes on.
        """
        stored = 0
        for _ in range(ROUNDS):
            found = self._repository.untold_ends()
            if not found:
                break
            now = self._repository.now()
            deliveries = [
                delivery_of(each, end, now, max_attempts=self._max_attempts)
                for each in found
                for end in ends_due(each)
            ]
            self._repository.insert_missing(deliveries)
            stored += len(deliveries)
            done = self._repository.write_each([told(each) for each in found])
            if not done or len(found) < PAGE:
                break
        return stored


class SettleAndTell(Settle):
    """Settle, and then the deliveries for what has ended."""

    def __init__(
        self,
        repository: MongoContextRepository,
        on_expanding: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(repository, on_expanding)
        self._callbacks = Callbacks(repository)

    def run(self) -> bool:
        """Settle all that there is, and store what has to be delivered; whether anything may begin
        now.

        Raises:
            StoreUnavailable: MongoDB did not answer; the next run goes on.
        """
        began = super().run()
        return self._callbacks.run() > 0 or began


def settle_of(
    repository: MongoContextRepository, on_expanding: Callable[[], None] = lambda: None
) -> Settle:
    """Settle as the settings have it: with callbacks, where they allow any."""
    kind = SettleAndTell if repository.settings.webhook_hosts else Settle
    return kind(repository, on_expanding)
