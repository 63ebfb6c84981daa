"""What a service, a producer or a user wrote is text to a real browser too, whatever it says."""

from __future__ import annotations

import re
from urllib.parse import quote

import redis
from playwright.sync_api import expect

from agent.dashboard.words import text as shown_as
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Keep, Meet
from tests.acceptance.browser.hostile import (
    EVERYTHING,
    HARM,
    TEXTS,
    TURNING,
    fill_hostile,
    parent_of,
)
from tests.acceptance.browser.visitor import HEIGHT, NARROW, WIDE, Visitor

LISTS = ("", "/services", "/workers", "/bridge", "/contexts", "/requests", "/requests?kind=batch",
         "/retries", "/schedules", "/dead", "/dead/retry?scope=all", "/audit",
         "/retries/change?what=cancel&scope=all")  # fmt: skip
SHOWN = frozenset({"/contexts", "/retries", "/dead", "/audit", "/schedules"})
"""Where each text stands in a line of its own."""
ON_ITS_PAGE = 10
"""So often a text stands on the page of its context at least: in so many fields."""
ASKED = ("/contexts?tag=team%3D{}&user={}&since={}", "/contexts?id={}", "/contexts?cursor={}",
         "/contexts?kind={}", "/retries?tag=team%3D{}&template={}&waits={}", "/retries?sort={}",
         "/retries/change?what=cancel&id={}", "/retries/change?what={}&id=x", "/dead?since={}",
         "/requests?status={}", "/audit?who={}", "/no/{}", "/login?next={}")  # fmt: skip
"""Pages that say again what their address asks for, as a link of anybody may have it."""


def unseen(person: Visitor, path: str) -> list[str]:
    """Which texts cannot be read in a list that has all of them."""
    said = person.text() if path in SHOWN else ""
    return [f"{name} is not on {path}" for name, text in TEXTS.items()
            if path in SHOWN and shown_as(text)[:30] not in said]  # fmt: skip


def harm(person: Visitor) -> list[str]:
    """What hostile text has done to the page that is here, at both widths."""
    found = list(person.page.evaluate(HARM, TURNING))
    for width in (WIDE, NARROW):
        person.page.set_viewport_size({"width": width, "height": HEIGHT})
        found += person.too_wide()
    return [f"{person.page.url[:120]}: {each}" for each in found]


def test_hostile_text_is_text_on_every_page(
    meet: Meet, repository: MongoContextRepository, client: redis.Redis, settings: Settings,
    keep_views: Keep,
) -> None:  # fmt: skip
    """No script runs, no link leads out, nothing is turned round or reckoned, and it is shown."""
    fill_hostile(repository, client, settings)
    keep_views()
    person = meet("operator")
    done = []
    for path in LISTS:
        assert person.go(path).status == 200, path
        done += harm(person) + unseen(person, path)
    person.go("/contexts?status=failed&service=GENERATIVE")
    links = {name: person.page.get_by_role("link", name=re.compile(f"^{name} ")) for name in TEXTS}
    paths = {name: link.get_attribute("href") for name, link in links.items()}
    for name, text in TEXTS.items():
        person.page.goto(f"{person.url}{paths[name]}")
        expect(person.page.get_by_role("heading", level=1)).to_contain_text(shown_as(text)[:60])
        assert person.text().count(shown_as(text)[:60]) >= ON_ITS_PAGE, name
        done += harm(person)
    for kind in ("REQUEST", "BATCH"):
        assert person.go(f"/requests/{quote(parent_of(kind), safe='')}").status == 200
        done += harm(person)
    assert done == []


def test_hostile_text_in_an_address_is_text(meet: Meet) -> None:
    """It leads nowhere, though whoever follows a link has not written it."""
    person = meet("operator")
    done = []
    for path in ASKED:
        person.go(path.replace("{}", quote(EVERYTHING)))
        done += harm(person)
    stranger = meet()
    for name in ("image", "link", "address"):
        stranger.go(f"/login?next={quote(TEXTS[name])}")
        stranger.page.get_by_label("Name").fill(TEXTS[name])
        stranger.page.get_by_label("Password").fill("a guess")
        stranger.press("Sign in")
        expect(stranger.page.get_by_label("Name")).to_have_value(TEXTS[name])
        done += harm(stranger)
    assert done == []
