"""Who gets in, and what is offered to whoever may only look."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Meet
from tests.acceptance.browser.filled import TRIED
from tests.acceptance.browser.visitor import PASSWORD

PAGES = ("", "/services", "/workers", "/contexts", f"/contexts/{TRIED}", "/requests/req_1",
         "/retries", f"/retries/change?what=cancel&id={TRIED}", "/schedules", "/dead",
         "/dead/retry?scope=all", "/audit")  # fmt: skip
CHANGING = ("form[method=post]", "details.act", "input[type=checkbox]", "a[href*='/change']",
            "a[href*='/dead/retry']")  # fmt: skip
"""What only those are offered who may change something."""
FORGE = """token => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/dashboard/services/GENERATIVE/pause";
  for (const [name, value] of [["csrf", token], ["reason", "forged"]]) {
    const field = document.createElement("input");
    [field.name, field.value] = [name, value];
    form.append(field);
  }
  document.body.append(form);
  form.submit();
}"""


def test_a_wrong_password_is_told_and_the_right_one_opens_the_page_that_was_wanted(
    meet: Meet,
) -> None:
    """With its filters; the name need not be typed again. Signing out closes all of it."""
    person = meet()
    person.go("/contexts?status=failed")
    expect(person.page).to_have_title("Sign in · agent")
    person.page.get_by_label("Name").fill("viewer")
    person.page.get_by_label("Password").fill("a guess")
    person.press("Sign in")
    expect(person.page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    expect(person.page.get_by_label("Name")).to_have_value("viewer")
    person.page.get_by_label("Password").fill(PASSWORD)
    person.press("Sign in")
    expect(person.page).to_have_url(f"{person.url}/dashboard/contexts?status=failed")
    expect(person.page.get_by_label("Status")).to_have_value("failed")

    person.press("Sign out", within="header")
    expect(person.page).to_have_title("Sign in · agent")
    person.go("/contexts")
    expect(person.page).to_have_title("Sign in · agent")
    person.page.go_back()
    expect(person.page).to_have_title("Sign in · agent")


def test_somebody_who_has_signed_in_is_not_asked_again(meet: Meet) -> None:
    """In no other tab either, nor by a bookmark of the form."""
    person = meet("viewer")
    other = person.open()
    other.goto(f"{person.url}/dashboard/login?next=/dashboard/audit")
    expect(other).to_have_title("Audit · agent")
    assert [each["name"] for each in person.context.cookies() if each["httpOnly"]] == [
        "__Host-agent"
    ]
    assert other.evaluate("document.cookie") == ""


@pytest.mark.usefixtures("filled")
def test_whoever_may_only_look_is_offered_no_change(meet: Meet) -> None:
    """On any page; whoever may change something is."""

    def offered(role: str, *paths: str) -> list[str]:
        person = meet(role)
        found = []
        for path in paths:
            assert person.go(path).status == 200, path
            main = person.page.locator("main")
            found += [path for each in CHANGING if main.locator(each).count()]
        return found

    assert offered("viewer", *PAGES) == []
    assert set(offered("operator", "/services", "/retries", "/dead")) == {
        "/services", "/retries", "/dead",
    }  # fmt: skip


def test_a_change_that_a_viewer_forges_is_refused(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """Though it comes from a page of ours, with the token of their session."""
    person = meet("viewer")
    person.go("/services")
    token = person.page.locator("input[name=csrf]").first.input_value()
    person.page.evaluate(FORGE, token)
    expect(person.page.get_by_role("heading", name="Not for you")).to_be_visible()
    assert "may look, and change nothing" in person.text()
    assert repository.service_states() == {}
    assert repository.page_of_audit(limit=5) == []
