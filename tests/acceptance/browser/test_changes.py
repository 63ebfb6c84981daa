"""What people do on the pages, and what has come of it in MongoDB."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import expect

from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Keep, Meet
from tests.acceptance.browser.filled import FAILURE, a_failure, a_retry
from tests.acceptance.browser.visitor import Visitor


def statuses(repository: MongoContextRepository, *ids: str) -> list[str]:
    return [str(repository.find_status(each)) for each in ids]


def told(person: Visitor, words: str) -> None:
    """The page says on its top what has happened."""
    expect(person.page.get_by_role("status").filter(has_text=words)).to_be_visible()


def test_retries_are_begun_at_once_one_and_the_chosen_and_all_that_match(
    meet: Meet, repository: MongoContextRepository, keep_views: Keep
) -> None:
    """Each after a question that says how many; the others wait on, and the list knows it."""
    now = repository.now()
    repository.insert_contexts([
        a_retry(now, _id=f"ctx_{name}", service_type=service,
                available_at=now + timedelta(hours=hours))
        for hours, (name, service) in enumerate(
            [("a", "GENERATIVE"), ("b", "GENERATIVE"), ("c", "GENERATIVE"), ("d", "ANALYSIS"),
             ("e", "ANALYSIS"), ("f", "GENERATIVE")], 1)
    ])  # fmt: skip
    keep_views()
    person = meet("operator")
    page = person.page
    rows = page.locator("tbody tr")

    person.go("/retries")
    rows.filter(has_text="ctx_a").get_by_role("link", name="now…").click()
    expect(page.locator("main")).to_contain_text("1 context is tried again at once")
    assert statuses(repository, "ctx_a") == ["scheduled"]
    person.press("Retry now")
    told(person, "1 is tried again at once.")
    assert statuses(repository, "ctx_a", "ctx_b", "ctx_c") == ["pending", "scheduled", "scheduled"]

    expect(page.get_by_role("button", name="Retry now… what is chosen")).to_be_disabled()
    for name in ("ctx_b", "ctx_c"):
        page.get_by_role("checkbox", name=f"Choose {name}").check()
    expect(page.locator("[data-chosen]")).to_have_text("2 chosen")
    person.press("Retry now… what is chosen")
    expect(page.locator("main")).to_contain_text("2 contexts are tried again at once")
    person.press("Retry now: 2")
    told(person, "2 are tried again at once.")
    assert statuses(repository, "ctx_b", "ctx_c", "ctx_d") == ["pending", "pending", "scheduled"]

    person.go("/retries?service=ANALYSIS")
    person.press("Retry now… all that match")
    expect(page.locator("main")).to_contain_text("2 contexts, all that match service ANALYSIS,")
    person.press("Retry now: 2")  # the browser itself asks for the reason that is missing
    assert page.evaluate("document.activeElement.name") == "reason"
    page.get_by_label("Why").fill("the service is well again")
    person.press("Retry now: 2")
    told(person, "2 are tried again at once.")
    assert statuses(repository, "ctx_d", "ctx_e", "ctx_f") == ["pending", "pending", "scheduled"]
    person.go("/retries")
    expect(rows).to_have_count(1)


def test_all_of_a_page_are_chosen_at_once(
    meet: Meet, repository: MongoContextRepository, keep_views: Keep
) -> None:
    """And left again; a context that is cancelled by mistake can be left as it is."""
    now = repository.now()
    repository.insert_contexts([a_retry(now, _id=f"ctx_{number}") for number in range(3)])
    keep_views()
    person = meet("operator")
    person.go("/retries")
    choose_all = person.page.get_by_role("checkbox", name="Choose all of this page")
    choose_all.check()
    expect(person.page.locator("[data-chosen]")).to_have_text("3 chosen")
    choose_all.uncheck()
    expect(person.page.locator("[data-chosen]")).to_have_text("0 chosen")
    choose_all.check()
    person.press("Cancel… what is chosen")
    person.page.get_by_role("link", name="Leave them").click()
    expect(person.page).to_have_title("Retries · agent")
    assert statuses(repository, "ctx_0", "ctx_1", "ctx_2") == ["scheduled"] * 3


def test_dead_letters_of_a_kind_begin_anew(
    meet: Meet, repository: MongoContextRepository, keep_views: Keep
) -> None:
    """From the list of kinds, after a question; another kind of the same service stays dead."""
    now = repository.now()
    rare = {**FAILURE, "type": "Rejected", "message": "too long", "fingerprint": "k400"}
    repository.insert_contexts([
        *(a_failure(now, _id=f"ctx_{number}") for number in range(3)),
        a_failure(now, _id="ctx_rare", error=rare),
    ])  # fmt: skip
    keep_views()
    person = meet("operator")
    person.go("/dead")
    kind = person.page.locator("tbody tr").filter(has_text=str(FAILURE["type"]))
    expect(kind).to_contain_text("3")
    kind.get_by_role("link", name="Retry all…").click()
    expect(person.page.locator("main")).to_contain_text("3 contexts of GENERATIVE")
    person.page.get_by_label("Why").fill("a release mended it")
    person.press("Retry 3")
    told(person, "3 begin anew")
    assert statuses(repository, "ctx_0", "ctx_1", "ctx_2", "ctx_rare") == [
        "pending", "pending", "pending", "failed",
    ]  # fmt: skip
    person.go("/audit")
    expect(person.page.locator("tbody tr").first).to_contain_text("a release mended it")


def test_a_service_is_paused_with_a_reason_and_resumed(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """Without a reason the browser sends nothing; who did it and why everybody sees."""
    person = meet("operator")
    page = person.page
    person.go("/services")
    service = page.locator("article").filter(has_text="GENERATIVE")
    service.locator("summary", has_text="Pause…").click()
    person.press("Pause GENERATIVE")
    assert page.evaluate("document.activeElement.name") == "reason"
    assert repository.service_states() == {}
    service.get_by_label("Why").fill("a new key")
    service.get_by_label("Minutes").fill("15")
    person.press("Pause GENERATIVE")
    told(person, "GENERATIVE is paused")
    pause = repository.service_states()["GENERATIVE"].pause
    assert pause is not None
    assert (pause.by, pause.reason) == ("operator", "a new key (operator)")
    assert pause.until is not None

    other = meet("viewer")
    other.go("/services")
    expect(other.page.locator("article").filter(has_text="GENERATIVE")).to_contain_text("a new key")

    service.locator("summary", has_text="Resume…").click()
    person.press("Resume GENERATIVE")
    told(person, "GENERATIVE is open again.")
    assert repository.service_states()["GENERATIVE"].pause is None
