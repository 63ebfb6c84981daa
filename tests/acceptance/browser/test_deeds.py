"""A change of many that is not finished: the page goes on by itself, and leads back to an undo."""

from __future__ import annotations

from datetime import timedelta

import redis
from playwright.sync_api import expect

from agent.models import new_id
from agent.projections.deeds import Deeds
from agent.settings import Settings
from agent.store.audit import Deed
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Meet
from tests.factories import a_context

IDS = ("ctx_1", "ctx_2", "ctx_3")


def begun(repository: MongoContextRepository, client: redis.Redis, settings: Settings) -> str:
    """The page of a deed of which nothing was done yet."""
    now = repository.now()
    waiting = {"status": "scheduled", "wait_reason": "retry", "fence": 1, "failures": 1,
               "available_at": now + timedelta(hours=1)}  # fmt: skip
    repository.insert_contexts([{**a_context(**waiting), "_id": each} for each in IDS])
    deed_id = repository.note_deed(Deed("ann", "cancel", "3 retries"))
    told = {"kind": "cancel", "on": "3 retries", "who": "ann", "at": now.timestamp(),
            "back": "/dashboard/retries"}  # fmt: skip
    Deeds(client, settings.namespace).begin(deed_id, told, [f'"{each}"' for each in IDS])
    return f"/retries/deeds/{deed_id}"


def test_it_goes_on_by_itself_and_is_taken_back(
    meet: Meet, repository: MongoContextRepository, client: redis.Redis, settings: Settings
) -> None:
    """Whoever opens it need not press anything; the message on top has the button."""
    path = begun(repository, client, settings)
    assert meet("viewer").faults(path) == []
    person = meet("operator")
    person.go("/retries")
    assert "0 of 3 are done" in person.text()
    person.page.get_by_role("link", name="Go on").click()
    person.page.wait_for_url("**/dashboard/retries")
    told = person.page.locator(".told")
    assert "3 are cancelled." in told.inner_text()
    assert {str(repository.find_status(each)) for each in IDS} == {"cancelled"}
    assert person.accessible() == []
    told.get_by_role("button", name="Undo").click()
    person.page.get_by_text("3 begin anew at the time they had").wait_for()
    assert {str(repository.find_status(each)) for each in IDS} == {"scheduled"}


def test_without_scripts_a_button_goes_on(
    meet: Meet, repository: MongoContextRepository, client: redis.Redis, settings: Settings
) -> None:
    """And the undo is a button as well; one that nobody knows is told to be too late."""
    path = begun(repository, client, settings)
    person = meet("operator", scripts=False)
    person.go(path)
    person.press("Go on")
    expect(person.page.locator("main")).to_contain_text("3 are cancelled.")
    person.press("Undo")
    expect(person.page.locator("main")).to_contain_text("3 begin anew")
    person.go(f"/retries/deeds/{new_id('aud')}")
    assert "is not known any more" in person.text()
