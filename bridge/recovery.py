"""What the broker lost is enqueued again at once, instead of waiting for leases to run out.

Twice is no harm: each start is fenced.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

import redis

from agent.errors import AgentError
from agent.logs import get_logger
from agent.models import Claim
from agent.projections.broker_view import read_broker_ids, take_back
from agent.projections.connection import translate_redis_errors
from agent.projections.doorbell import wake
from agent.projections.presence import LIVE, Presence
from agent.services import ServiceRegistry
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from bridge.admit import Admit

GIVEN_UP = LIVE + timedelta(seconds=1)

log = get_logger()


class Recovery:
    """Watches over what Redis should hold; its mark there says that nothing was lost since."""

    def __init__(
        self,
        repository: MongoContextRepository,
        client: redis.Redis,
        admit: Admit,
        settings: Settings,
        registry: ServiceRegistry,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._client = client
        self._admit = admit
        self._settings = settings
        self._registry = registry
        self._presence = Presence(client, settings.namespace)
        self._epoch = f"{settings.namespace}:epoch"
        self._buried: set[str] = set()
        self._monotonic = monotonic
        self._strangers: dict[str, float] = {}
        """Brokers that show no sign of life, and since when they are known."""

    def run(self) -> None:
        """One look: does Redis lack something, did a process die with messages in its hands?

        Raises:
            StoreUnavailable, BrokerUnavailable: the next look finds it again.
        """
        self._look_at_epoch()
        self._take_back_messages()

    def begin(self, took_over: bool) -> None:
        """Before the first admission: what the last leader left queued, or what Redis lost.

        Args:
            took_over: the last leader fell silent, perhaps between a claim and its enqueuing.

        Raises:
            StoreUnavailable, BrokerUnavailable: the next look finds it again.
        """
        self._admit.in_doubt = self._admit.in_doubt or took_over
        self._look_at_epoch()

    def enqueue_again(self) -> int:
        """Enqueue every context that is queued; how many.

        Raises:
            StoreUnavailable, BrokerUnavailable: some may be enqueued.
        """
        by_service: dict[str, list[Claim]] = defaultdict(list)
        for service_type, claim in self._repository.queued():
            by_service[service_type].append(claim)
        for service_type, claims in by_service.items():
            if service_type in self._registry:
                self._admit.enqueue(self._registry[service_type], claims)
        total = sum(map(len, by_service.values()))
        if total:
            log.warning("broker.enqueued_again", count=total)
        return total

    def _look_at_epoch(self) -> None:
        """The mark is set last: a bridge that dies before has the next one begin again."""
        with translate_redis_errors():
            if self._client.exists(self._epoch) and not self._admit.in_doubt:
                return
        self._admit.in_doubt = False
        try:
            self.enqueue_again()
        except AgentError:
            self._admit.in_doubt = True
            raise
        with translate_redis_errors():
            self._client.set(self._epoch, "1")

    def _take_back_messages(self) -> None:
        silent = self._silent_brokers()
        self._buried &= silent  # one that beats again and falls silent is looked at again
        dead = silent - self._buried
        if not dead:
            return
        queues = [service.queue for service in self._registry.values()]
        moved = take_back(self._client, self._settings.dramatiq_namespace, queues, dead)
        self._buried |= dead
        if not moved:
            return
        log.warning("broker.taken_back", messages=moved, processes=len(dead))
        for queue in queues:
            wake(self._client, self._settings.namespace, queue)

    def _silent_brokers(self) -> set[str]:
        """Those of processes that fell silent, or gave no sign of life at all: Redis lost it, and
        they died before the next one."""
        views = self._presence.all()
        known = {view.broker_id for view in views if view.broker_id}
        now, longest = self._monotonic(), GIVEN_UP.total_seconds()
        strangers = read_broker_ids(self._client, self._settings.dramatiq_namespace) - known
        self._strangers = {each: self._strangers.get(each, now) for each in strangers}
        return {
            view.broker_id for view in views if view.broker_id and view.beat_age_seconds > longest
        } | {each for each, since in self._strangers.items() if now - since > longest}
