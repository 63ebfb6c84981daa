"""What somebody who read a parent long ago, or its children in part, must not do to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from agent.duties.settle import Settle
from agent.models import Document
from agent.store import parent_changes
from tests.integration.duties.batches import CAMPAIGN, GREETING, Campaigns
from tests.integration.duties.requests import Requests

ALL = "completed"


@pytest.fixture
def campaigns(requests: Requests) -> Campaigns:
    return Campaigns(requests)


def once(patch: pytest.MonkeyPatch, owner: object, name: str, after: Callable[[Any], Any]) -> None:
    """Have the next call of a method, and no other, give something else."""
    real = getattr(owner, name)

    def instead(*args: Any, **options: Any) -> Any:
        patch.setattr(owner, name, real)
        return after(real(*args, **options))

    patch.setattr(owner, name, instead)


def begin_anew(campaigns: Campaigns, batch_id: str) -> None:
    """The cancellation is carried out by others, and then somebody thinks better of it."""
    campaigns.run()
    assert campaigns.requests.status(batch_id) == "cancelled"
    campaigns.repository.retry(batch_id)
    campaigns.run()


@pytest.mark.parametrize("template", [GREETING, CAMPAIGN], ids=["one step", "several steps"])
def test_a_late_cancellation_undoes_no_retry(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch, template: dict[str, Any]
) -> None:
    """Who saw that a batch is being cancelled cancels nothing that was begun anew since."""
    created = campaigns.ask(template=template)
    campaigns.run()
    repository = campaigns.repository
    with monkeypatch.context() as patch:  # who asked for it has died right after
        patch.setattr(repository, "cancel_children", lambda *_, **__: False)
        repository.cancel(created.id)

    def meanwhile(counts: Counter[str]) -> Counter[str]:
        begin_anew(campaigns, created.id)
        return counts

    once(monkeypatch, repository, "count_children", meanwhile)
    Settle(repository).run()
    campaigns.run()
    assert campaigns.carry_out("GENERATIVE") == 3
    campaigns.carry_out("COMMUNICATION")
    assert campaigns.requests.status(created.id) == ALL


def test_a_late_cancellation_of_a_request_undoes_no_retry(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise of the steps of one request."""
    parent_id = requests.create({"a": (), "b": ("a",)})
    with monkeypatch.context() as patch:
        patch.setattr(requests.repository, "cancel_children", lambda *_, **__: False)
        requests.repository.cancel(parent_id)

    def meanwhile(steps: list[Document]) -> list[Document]:
        requests.run()
        assert requests.status(parent_id) == "cancelled"
        requests.repository.retry(parent_id)
        requests.run()
        return steps

    once(monkeypatch, requests.repository, "steps_of", meanwhile)
    Settle(requests.repository).run()
    requests.run()
    assert requests.statuses(parent_id) == {"a": "pending", "b": "waiting"}


def test_a_request_is_not_given_up_because_a_step_moved_while_it_was_read(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made long ago; its step is there, but the reader missed it."""
    parent_id = requests.create({"a": (), "b": ("a",)})
    requests.make_older(parent_id, 20)
    once(monkeypatch, requests.repository, "steps_of", lambda steps: steps[1:])
    requests.run()
    assert requests.statuses(parent_id) == {"a": "pending", "b": "waiting"}
    requests.finish(parent_id, "a", "b")
    assert requests.status(parent_id) == ALL


def test_children_are_counted_as_they_are_at_one_moment(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends while a million are counted would be missing, and its batch given up for it."""
    repository, parent_id = requests.repository, requests.create({"a": (), "b": ()})
    read = repository._aggregate

    def slow(*asked: Any, **options: Any) -> list[Document]:
        monkeypatch.setattr(repository, "_aggregate", read)
        read(*asked, **options)
        requests.finish(parent_id, "a")
        return read(*asked, **options)

    monkeypatch.setattr(repository, "_aggregate", slow)
    assert repository.count_children(parent_id) == {"pending": 2}
    assert repository.count_children(parent_id) == {"pending": 1, ALL: 1}


def test_an_item_that_is_tried_again_twice_before_its_batch_hears_of_it_is_settled(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has to tell its batch does not keep it from being looked at itself."""
    created = campaigns.ask([{"name": "Ann"}], template=CAMPAIGN)
    campaigns.run()
    campaigns.carry_out("GENERATIVE", failing=("Ann",))
    item, repository = f"{created.id}_0000001", campaigns.repository
    repository.retry(item)
    _end_alone(campaigns, item)
    with monkeypatch.context() as patch:  # who asks again dies right after
        patch.setattr(repository, "retry_children", lambda *_, **__: False)
        repository.retry(item)
    campaigns.run()
    assert campaigns.carry_out("GENERATIVE") == 1
    campaigns.carry_out("COMMUNICATION")
    assert [campaigns.requests.status(each) for each in (item, created.id)] == [ALL, ALL]


def _end_alone(campaigns: Campaigns, item: str) -> None:
    """Its step fails once more, and who settles that does not come to its batch."""
    repository, settle = campaigns.repository, campaigns.requests.settle
    repository.write_each([
        parent_changes.retried(repository.now(), parent)
        for parent in repository.parents([item]).values()
    ])  # fmt: skip
    [claim] = campaigns.claim("GENERATIVE")
    assert campaigns.requests.end(campaigns.requests.start(claim), fails=True)
    for _ in range(3):
        settle._settle_requests(list(repository.parents([item]).values()))
    assert campaigns.requests.status(item) == "failed"


def test_a_late_retry_of_a_whole_begins_nothing_that_failed_again(requests: Requests) -> None:
    """It failed in a later round, which somebody else asked for."""
    parent_id = requests.create({"a": ()})
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(parent_id)
    first = requests.parent(parent_id)["retrying"]["round"]
    requests.run()
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry(parent_id)
    requests.run()
    requests.finish(parent_id, "a", fails=True)
    requests.repository.retry_children(parent_id, first)
    assert requests.statuses(parent_id) == {"a": "failed"}
