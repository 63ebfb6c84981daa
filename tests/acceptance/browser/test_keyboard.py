"""Without a mouse: every place of a page is reached, is seen, and does what it says."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Keep, Meet
from tests.acceptance.browser.filled import TRIED, a_retry
from tests.acceptance.browser.keyboard import Keyboard
from tests.acceptance.browser.visitor import NARROW, PASSWORD

WALKED = ("", "/services", "/contexts", f"/contexts/{TRIED}", "/requests/req_1", "/retries",
          "/schedules", "/dead")  # fmt: skip


@pytest.mark.usefixtures("filled")
def test_every_place_of_a_page_is_seen_when_it_is_reached(meet: Meet) -> None:
    """Also on a narrow page, where much of it stands beyond the edge."""
    person = meet("operator", width=NARROW)
    for path in WALKED:
        person.go(path)
        places = Keyboard(person.page).walk()
        assert places[0].name == "Skip to the content", path
        assert [each.name for each in places if not each.inside].count("Audit") == 1, path
        assert any(each.inside for each in places), path


def test_somebody_signs_in_and_pauses_a_service(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """Past the menu; a panel that is closed with Escape gives the focus back."""
    person = meet()
    person.go("/services")
    keys = Keyboard(person.page)
    keys.go_to("Name")
    keys.type("operator")
    keys.go_to("Password")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(person.page).to_have_title("Services · agent")

    keys.go_to("Skip to the content")
    keys.press("Enter")
    first = keys.next()
    assert first is not None
    assert first.inside
    keys.go_to("Pause…")
    panel = person.page.locator("details.act[open]")
    keys.press("Enter")
    expect(panel).to_have_count(1)
    keys.go_to("Why")
    keys.press("Escape")
    closed = keys.here()
    assert closed is not None
    assert (closed.tag, closed.name, closed.ringed) == ("summary", "Pause…", True)
    expect(panel).to_have_count(0)

    keys.press("Space")
    expect(panel).to_have_count(1)
    keys.go_to("Why")
    keys.type("a new key")
    keys.go_to("Minutes")
    keys.type("15")
    keys.go_to("Pause ")
    keys.press("Enter")
    expect(person.page.get_by_role("status").filter(has_text="is paused")).to_be_visible()
    [state] = repository.service_states().values()
    assert state.pause is not None
    assert state.pause.reason == "a new key (operator)"


def test_somebody_follows_the_menu_chooses_two_and_cancels_them(
    meet: Meet, repository: MongoContextRepository, keep_views: Keep
) -> None:
    """Boxes are ticked with the space bar; the question is answered with Enter."""
    now = repository.now()
    repository.insert_contexts([a_retry(now, _id=f"ctx_{number}") for number in range(3)])
    keep_views()
    person = meet("operator")
    person.go("")
    keys = Keyboard(person.page)
    keys.go_to("Retries")
    keys.press("Enter")
    expect(person.page).to_have_title("Retries · agent")
    for name in ("Choose ctx_0", "Choose ctx_1"):
        keys.go_to(name)
        keys.press("Space")
    expect(person.page.locator("[data-chosen]")).to_have_text("2 chosen")
    keys.go_to("Cancel… what is chosen", "Shift+Tab")
    keys.press("Enter")
    expect(person.page).to_have_title("Cancel · agent")
    keys.go_to("Why")
    keys.type("asked for twice")
    keys.press("Enter")
    expect(person.page.get_by_role("status").filter(has_text="2 are cancelled.")).to_be_visible()
    assert [str(repository.find_status(f"ctx_{number}")) for number in range(3)] == [
        "cancelled", "cancelled", "scheduled",
    ]  # fmt: skip
