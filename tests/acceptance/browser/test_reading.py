"""What makes pages good to read: the reader's own time and theme, and addresses that keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Keep, Meet
from tests.acceptance.browser.filled import FAILURE, a_failure, a_retry
from tests.acceptance.browser.visitor import ZONE, Visitor
from tests.factories import LONG_AGO, a_context, a_template

EXACT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC")


def background(person: Visitor) -> int:
    """How bright the page is, from 0 to 255."""
    color = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return int(re.findall(r"\d+", color)[0])


def test_the_theme_is_the_systems_until_somebody_chooses_another(meet: Meet) -> None:
    """Which is remembered, on every page; a reader of the screen is told which it is."""
    for system, pressed in (("dark", "true"), ("light", "false")):
        person = meet("viewer", theme=system)
        person.go("/workers")
        button = person.page.get_by_role("button", name="Dark")
        expect(button).to_have_attribute("aria-pressed", pressed)
        assert (background(person) < 128) == (system == "dark")
        button.click()
        for path in ("/workers", "/audit"):
            person.go(path)
            expect(button).not_to_have_attribute("aria-pressed", pressed)
            assert (background(person) < 128) == (system == "light")


def test_times_are_the_readers_and_the_exact_one_is_in_utc(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """Every time of a page has both."""
    at = LONG_AGO + timedelta(hours=9, milliseconds=7)
    repository.insert_contexts([a_context(_id="ctx_1", created_at=at, available_at=at)])
    person = meet("viewer")
    person.go("/contexts/ctx_1")
    shown = person.page.locator("dt:text-is('Made') + dd time").first
    local = at.astimezone(ZONE)
    assert (local.day, local.hour, local.minute) == (2, 2, 30)
    expect(shown).to_have_text(f"{local.day} {local:%b %Y, %H:%M:%S}")
    expect(shown).to_have_attribute("title", "2024-05-01 21:00:00.007 UTC")
    for path in ("/contexts/ctx_1", "/contexts", "/services"):
        person.go(path)
        for each in person.page.locator("time").all():
            assert EXACT.fullmatch(each.get_attribute("title") or ""), path
            assert "UTC" not in each.inner_text(), path


def test_times_are_in_utc_where_no_script_knows_the_zone(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """And the page says so."""
    repository.insert_contexts([a_context(_id="ctx_1")])
    person = meet("viewer", scripts=False)
    person.go("/contexts/ctx_1")
    assert "2024-05-01 12:00:00 UTC" in person.text()


def filtered(person: Visitor, path: str, fields: Mapping[str, str]) -> None:
    """Fill in the filters of a page: they come to stand in the address, and stay over a reload."""
    person.go(path)
    form = person.page.get_by_role("form", name="Filters")
    for name, value in fields.items():
        field = form.locator(f"[name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    form.get_by_role("button", name="Filter").click()
    person.page.wait_for_url("**?**")
    asked = parse_qs(urlsplit(person.page.url).query)
    assert {name: [value] for name, value in fields.items()}.items() <= asked.items()
    for _ in range(2):
        for name, value in fields.items():
            expect(form.locator(f"[name={name}]")).to_have_value(value)
        person.page.reload()


def test_filters_of_contexts_stand_in_the_address(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """All of them; so whoever is sent the link sees the same."""
    now, tags = repository.now(), {"team": "north & south"}
    repository.insert_contexts([
        a_failure(now, _id="ctx_wanted", tags=tags),
        a_failure(now, _id="ctx_of_another_service", tags=tags, service_type="ANALYSIS"),
        a_failure(now, _id="ctx_of_another_template", tags=tags, template=a_template(id="other")),
        a_failure(now, _id="ctx_of_long_ago", tags=tags, created_at=LONG_AGO),
    ])  # fmt: skip
    person = meet("viewer")
    filtered(person, "/contexts", {
        "service": "GENERATIVE", "status": "failed", "tag": "team=north & south",
        "template": "greeting", "user": "user:42", "error": str(FAILURE["type"]), "since": "2h",
        "until": f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}",
    })  # fmt: skip
    expect(person.page.locator("tbody tr")).to_have_count(1)
    expect(person.page.locator("tbody")).to_contain_text("ctx_wanted")
    person.page.get_by_role("link", name="Show all").click()
    expect(person.page.locator("tbody tr")).to_have_count(4)


def test_filters_of_the_other_lists_stand_in_the_address_too(
    meet: Meet, repository: MongoContextRepository, keep_views: Keep
) -> None:
    """Of retries with their order; a filter that matches nothing says so, and the way back."""
    now = repository.now()
    repository.insert_contexts([
        a_retry(now, _id="ctx_wanted", tags={"team": "north"}),
        a_retry(now, _id="ctx_other", tags={"team": "south"}),
        a_failure(now, _id="ctx_dead"),
    ])  # fmt: skip
    keep_views()
    person = meet("viewer")
    filtered(person, "/retries", {
        "sort": "attempts", "service": "GENERATIVE", "error": str(FAILURE["type"]),
        "kind": repository.find_context("ctx_wanted")["attempts"][-1]["error"]["fingerprint"],
        "template": "greeting", "tag": "team=north",
    })  # fmt: skip
    expect(person.page.locator("tbody tr")).to_have_count(1)
    expect(person.page.locator("tbody")).to_contain_text("ctx_wanted")
    filtered(person, "/dead", {"service": "GENERATIVE", "since": "2h"})
    expect(person.page.locator("tbody tr")).to_have_count(1)
    filtered(person, "/requests?kind=batch", {"status": "failed"})
    expect(person.page.get_by_role("heading", name="Batches")).to_be_visible()
    filtered(person, "/audit", {"who": "nobody & nobody"})
    person.page.get_by_role("link", name="Show all").click()
    expect(person.page).to_have_url(f"{person.url}/dashboard/audit")
