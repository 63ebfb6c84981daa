"""A browser that runs no script: everything can be read, and a service can be paused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from playwright.sync_api import expect

from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Meet
from tests.acceptance.browser.filled import TRIED
from tests.acceptance.browser.visitor import NARROW

SAYS: Mapping[str, tuple[str, ...]] = {
    "": ("GENERATIVE", "ANALYSIS has been paused", "The last day"),
    "/services": ("GENERATIVE", "a new key (Ann)"),
    "/workers": ("host-alive", "host-drains", "host-gone", "ctx_processing"),
    "/bridge": ("bridge:host-a:3",),
    "/contexts": ("ctx_pending", "ctx_scheduled", "ctx_failed", "ctx_completed", "ctx_cancelled"),
    f"/contexts/{TRIED}": ("answered 503", "trace-2", "after failure 3 of 20 at most"),
    "/requests": ("req_1", "2 of 4"),
    "/requests/req_1": ("tell-everybody", "draft"),
    "/requests?kind=batch": ("bat_1", "2 of 3"),
    "/requests/bat_1": ("ServiceUnavailable", "CSV"),
    "/retries": ("ctx_scheduled", "ServiceUnavailable", "3 of 20"),
    "/dead": ("ServiceUnavailable", "answered 503"),
    "/schedules": ("nightly", "0 3 * * *", "paused"),
    "/audit": ("a new key", "only what is not final is cancelled"),
}
"""Some of what each page has to say."""


@pytest.mark.usefixtures("filled")
def test_every_page_can_be_read(meet: Meet) -> None:
    """What a script would bring stands there already, or is not offered."""
    person = meet("operator", scripts=False)
    person.wait_for("/services", "a new key (Ann)")
    missing = []
    for path, words in SAYS.items():
        assert person.go(path).status == 200, path
        said = person.text()
        missing += [(path, word) for word in words if word not in said]
        assert not person.page.locator("#theme").is_visible(), "nothing would happen"
    assert missing == []


def test_a_service_is_paused_and_resumed(meet: Meet, repository: MongoContextRepository) -> None:
    """Panels open by themselves, and a form goes its way."""
    person = meet("operator", scripts=False, width=NARROW)
    for act, said in (("Pause", "GENERATIVE is paused"), ("Resume", "GENERATIVE is open again.")):
        person.go("/services")
        service = person.page.locator("article").filter(has_text="GENERATIVE")
        service.locator("summary", has_text=act).click()
        service.locator("details[open]").get_by_label("Why").fill("a new key")
        person.press(f"{act} GENERATIVE")
        expect(person.page.get_by_role("status").first).to_contain_text(said)
        is_paused = repository.service_states()["GENERATIVE"].pause is not None
        assert is_paused == (act == "Pause")


@pytest.mark.usefixtures("filled")
def test_retries_are_chosen_and_cancelled(meet: Meet, repository: MongoContextRepository) -> None:
    """The buttons for what is chosen are there, though nobody counts it."""
    person = meet("operator", scripts=False)
    person.go("/retries")
    person.page.get_by_role("checkbox", name=f"Choose {TRIED}").check()
    person.press("Cancel… what is chosen")
    person.press("Yes, cancel")
    expect(person.page.get_by_role("status").first).to_contain_text("1 is cancelled.")
    assert repository.find_status(TRIED) == "cancelled"
