"""Batches under several settlers while items fail, are retried and cancelled: a recount agrees."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from agent.duties.expand import Expand
from agent.duties.settle import Settle
from agent.errors import ContextNotFound, IllegalTransition
from agent.intake import batches
from agent.models import FINAL, Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.checker import History, Plan, all_violations
from tests.checker.families import OF_PARENTS
from tests.integration.duties.batches import CAMPAIGN, GREETING, Campaigns
from tests.integration.duties.requests import LEASE, Requests
from tests.waiting import wait_until

SERVICES = ("GENERATIVE", "COMMUNICATION")
ROWS = 7
TURNS = 60
READS = ("parents", "steps_of", "marks_of", "count_children")
LONGEST_PAUSE_SECONDS = 0.06
RULES = {rule.__name__ for rule in OF_PARENTS}


@pytest.fixture
def campaigns(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> Campaigns:
    """Whose batches are expanded two rows at a time."""
    monkeypatch.setattr(batches, "ROWS_IN_CHUNK", 2)
    return Campaigns(requests)


def hesitate(repository: MongoContextRepository, seed: int) -> None:
    """Have it stand still behind what settle reads, so that much happens before it writes."""
    drawn = random.Random(seed)

    def slow(read: Callable[..., Any]) -> Callable[..., Any]:
        def reads(*asked: Any, **options: Any) -> Any:
            found = read(*asked, **options)
            if drawn.random() < 0.5:
                threading.Event().wait(drawn.random() * LONGEST_PAUSE_SECONDS)
            return found

        return reads

    for name in READS:
        setattr(repository, name, slow(getattr(repository, name)))


@contextmanager
def others(settings: Any, count: int) -> Iterator[list[BaseException]]:
    """So many other processes that expand and settle all the time; what they broke on."""
    stop, broken = threading.Event(), list[BaseException]()

    def live(repository: MongoContextRepository) -> None:
        settle, expand = Settle(repository), Expand(repository)
        try:
            while not stop.is_set():
                expand.look_again()
                expand.run()
                settle.run()
        except BaseException as exc:
            broken.append(exc)

    with ExitStack() as stack:
        repositories = [MongoContextRepository.connect(settings) for _ in range(count)]
        threads = [threading.Thread(target=live, args=(each,)) for each in repositories]
        for number, repository in enumerate(repositories):
            hesitate(repository, number)
        for repository, thread in zip(repositories, threads, strict=True):
            stack.callback(repository.close)
            stack.callback(thread.join)
            thread.start()
        stack.callback(stop.set)
        yield broken


class Chance:
    """What people and workers happen to do, drawn from a seed."""

    def __init__(self, campaigns: Campaigns, batch_ids: list[str], seed: int) -> None:
        self._campaigns = campaigns
        self._repository = campaigns.repository
        self._batch_ids = batch_ids
        self._random = random.Random(seed)

    def turn(self) -> None:
        """Carry something out; now and then cancel or retry a batch, an item or a step."""
        self._carry_out(fails=0.4)
        change = self._random.choice(
            [self._repository.cancel, self._repository.retry, self._repository.retry, None]
        )
        if change is not None:
            with suppress(IllegalTransition, ContextNotFound):
                change(self._drawn_id())

    def finish(self) -> None:
        """Carry out all that is left, until every batch is final."""

        def is_final() -> bool:
            self._carry_out(fails=0.1)
            found = (self._campaigns.requests.status(each) for each in self._batch_ids)
            return all(status in FINAL for status in found)

        wait_until(is_final, timeout=60)

    def _carry_out(self, *, fails: float) -> None:
        for service in SERVICES:
            claims = self._repository.claim(service, calls=5, lease=LEASE, owner="bridge:1")
            for claim in claims:
                with suppress(AssertionError, ContextNotFound):  # it was cancelled meanwhile
                    hold = self._campaigns.requests.start(claim)
                    failing = self._random.random() < fails
                    results = {"text": "Hi"}
                    self._campaigns.requests.end(hold, fails=failing, results=results)

    def _drawn_id(self) -> str:
        batch_id = self._random.choice(self._batch_ids)
        item = f"{batch_id}_{self._random.randint(1, ROWS):07d}"
        chosen = [batch_id, item, item, f"{item}_draft", f"{item}_draft", f"{item}_send"]
        return self._random.choice(chosen)


def all_of(campaigns: Campaigns) -> list[Document]:
    return list(campaigns.repository.contexts.find())


@pytest.mark.parametrize("seed", range(2))
def test_at_quiet_every_parent_says_what_a_recount_comes_to(
    campaigns: Campaigns, seed: int
) -> None:
    """Batches of items and of items of several steps, whoever settled, and whatever was asked."""
    rows = [{"name": f"{number}"} for number in range(ROWS)]
    ids = [campaigns.ask(rows, template=each).id for each in (GREETING, CAMPAIGN)]
    chance = Chance(campaigns, ids, seed)
    with others(campaigns.repository.settings, 3) as broken:
        for _ in range(TURNS):
            chance.turn()
        chance.finish()
    campaigns.run()
    assert broken == []
    found = all_of(campaigns)
    assert len(found) == 2 + ROWS + 3 * ROWS
    history = History([each["_id"] for each in found], found, [])
    wrong = [each for each in all_violations(history, Plan()) if each.rule in RULES]
    assert wrong == []
    assert campaigns.rows_left() == 0
