"""How long requests of several steps are kept: the whole decides, and its steps go with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.store import parents
from tests.integration.duties.requests import Requests

DAY = timedelta(days=1)
PAIR: dict[str, tuple[str, ...]] = {"a": (), "b": ()}


def dates(requests: Requests, parent_id: str) -> set[object]:
    """Until when its steps are kept."""
    found = requests.repository.contexts.find({"parent_id": parent_id})
    return {document.get("expire_at") for document in found}


def test_steps_are_kept_as_long_as_their_request(requests: Requests) -> None:
    """By the settings, from the end of the whole on; until then none has a date."""
    parent_id = requests.create(PAIR)
    requests.finish(parent_id, "a")
    assert dates(requests, parent_id) == {None}
    requests.finish(parent_id, "b")
    parent = requests.parent(parent_id)
    assert parent["expire_at"] == parent["completed_at"] + 30 * DAY
    assert dates(requests, parent_id) == {parent["expire_at"]}


def test_what_failed_or_is_never_to_go_has_no_date(requests: Requests) -> None:
    """By the settings and by its own word; nor has any of its steps."""
    failed, kept = requests.create({"a": ()}), requests.create({"a": ()}, retention="never")
    requests.finish(failed, "a", fails=True)
    requests.finish(kept, "a")
    for parent_id, status in ((failed, "failed"), (kept, "completed")):
        assert requests.status(parent_id) == status
        assert "expire_at" not in requests.parent(parent_id)
        assert dates(requests, parent_id) == {None}


def test_a_retry_of_the_whole_keeps_all_of_it(requests: Requests) -> None:
    """Also the steps that are completed, whose date would else come while the others run."""
    parent_id = requests.create(PAIR, retention=7 * DAY)
    requests.finish(parent_id, "a")
    requests.finish(parent_id, "b", fails=True)
    assert dates(requests, parent_id) == {requests.parent(parent_id)["expire_at"]}
    requests.repository.retry(parent_id)
    requests.run()
    assert "expire_at" not in requests.parent(parent_id)
    assert dates(requests, parent_id) == {None}


def test_many_are_given_their_date_by_and_by(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many for each look; the mark stays until the last one has it."""
    steps: dict[str, tuple[str, ...]] = {f"s{number}": () for number in range(7)}
    parent_id = requests.create(steps)
    monkeypatch.setattr(parents, "PAGE", 2)
    monkeypatch.setattr(parents, "PAGES_AT_ONCE", 2)
    for key in steps:
        assert requests.end(requests.begin(parent_id, key))
    requests.run()
    parent = requests.parent(parent_id)
    assert dates(requests, parent_id) == {parent["expire_at"]}
    assert "unsettled" not in parent
