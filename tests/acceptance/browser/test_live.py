"""Open pages show what changes by themselves, and cost little while they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Response, expect

from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.browser.conftest import Keep, Meet
from tests.factories import a_context

SOON_SECONDS = 2.0
"""Within that a page shows a change; on a machine with much to do not each time."""
TOLD_MS = 6000
"""Within that, whatever else the machine does: by itself it looks every ten seconds only."""
NOT_SHOWN_MS = 2000
STATE_MS = 15_000
POLLED_MS = 8000
"""Within that, where no stream tells of it."""
COMMANDS_A_SECOND = 2
LONG_MS = 6000
SAVED = 6
"""Commands that a page may ask before it has to wait, beside what its last look costs."""


def is_in(page: Page, state: str) -> None:
    """Wait until the page says that it is live, held, or polls."""
    expect(page.locator("#freshness")).to_have_attribute("data-state", state, timeout=STATE_MS)


def inserted(repository: MongoContextRepository, **fields: object) -> str:
    document = a_context(**fields)
    repository.insert_contexts([document])
    return str(document["_id"])


def test_a_context_shows_its_change_within_two_seconds(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """And keeps the focus where its reader has it, and times in their zone."""
    context_id = inserted(repository)
    person = meet("viewer")
    person.go(f"/contexts/{context_id}")
    is_in(person.page, "live")
    link = person.page.locator("#live a").first
    link.focus()
    took = []
    for change, status in ((repository.cancel, "cancelled"), (repository.retry, "pending")) * 2:
        began = time.monotonic()
        change(context_id)
        expect(person.page.locator("h1")).to_contain_text(status, timeout=TOLD_MS)
        took.append(time.monotonic() - began)
    assert sorted(took)[1] <= SOON_SECONDS
    expect(link).to_be_focused()
    expect(person.page.locator("#live time:not(.ago):not([data-local])")).to_have_count(0)


def test_a_pause_by_somebody_else_is_shown(meet: Meet, repository: MongoContextRepository) -> None:
    """On the page of services and on the overview."""
    for path in ("/services", ""):
        repository.resume_service("GENERATIVE")
        person = meet("viewer")
        person.go(path)
        is_in(person.page, "live")
        repository.pause_service("GENERATIVE", by="operator", reason="a new key", until=None)
        expect(person.page.get_by_text("a new key").first).to_be_visible(timeout=TOLD_MS)


def test_what_is_to_be_tried_again_is_shown(
    meet: Meet, repository: MongoContextRepository, keep_views: Keep
) -> None:
    """Its list is Redis's, which a bridge keeps."""
    person = meet("viewer")
    keep_views()
    person.go("/retries")
    is_in(person.page, "live")
    context_id = inserted(
        repository, status="scheduled", wait_reason="retry",
        available_at=repository.now() + timedelta(hours=1),
    )  # fmt: skip
    keep_views()
    expect(person.page.get_by_text(context_id)).to_be_visible(timeout=TOLD_MS)


def test_a_part_that_somebody_uses_stays_as_it_is(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """What was typed is not lost, and the page says that it is held; then it catches up."""
    person = meet("operator")
    page = person.page
    person.go("/services")
    is_in(page, "live")
    page.locator("summary", has_text="Pause…").first.click()
    page.get_by_label("Why").first.fill("a new key")
    is_in(page, "held")
    repository.pause_service("ANALYSIS", by="operator", reason="moved house", until=None)
    with pytest.raises(AssertionError):
        expect(page.get_by_text("moved house")).to_be_visible(timeout=NOT_SHOWN_MS)
    expect(page.get_by_label("Why").first).to_have_value("a new key")
    page.keyboard.press("Escape")
    expect(page.get_by_text("moved house")).to_be_visible(timeout=TOLD_MS)


def test_a_hidden_page_ends_its_stream_and_catches_up_when_it_is_seen(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """A tab in the background costs nothing."""
    context_id = inserted(repository)
    person = meet("viewer")
    page = person.page
    person.go(f"/contexts/{context_id}")
    is_in(page, "live")
    with page.expect_event("requestfailed", lambda request: "/dashboard/live" in request.url):
        look(page, is_hidden=True)  # it leaves its stream
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    repository.cancel(context_id)
    with pytest.raises(AssertionError):
        expect(page.locator("h1")).to_contain_text("cancelled", timeout=NOT_SHOWN_MS)
    assert asked == []
    look(page, is_hidden=False)
    expect(page.locator("h1")).to_contain_text("cancelled", timeout=TOLD_MS)
    is_in(page, "live")


def look(page: Page, *, is_hidden: bool) -> None:
    """Have the page think that its tab is in the background: a browser without windows has none."""
    page.evaluate(
        """is => {
          Object.defineProperty(document, "hidden", {value: is, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def test_without_a_stream_pages_look_by_themselves(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """Where something in between lets no stream through."""
    context_id = inserted(repository)
    person = meet("viewer")
    person.context.route("**/dashboard/live*", lambda route: route.abort())
    person.go(f"/contexts/{context_id}")
    is_in(person.page, "polls")
    repository.cancel(context_id)
    expect(person.page.locator("h1")).to_contain_text("cancelled", timeout=POLLED_MS)
    person.complaints = [
        each for each in person.complaints if "fetch" not in each and "ERR_" not in each
    ]


def test_a_page_outlives_what_goes_wrong_for_a_while(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """What it showed stays until there is something to show again."""
    context_id = inserted(repository)
    person = meet("viewer")
    person.go(f"/contexts/{context_id}")
    is_in(person.page, "live")
    place = f"**/dashboard/contexts/{context_id}"
    person.context.route(place, lambda route: route.fulfill(status=503, body="<p>away</p>"))
    with person.page.expect_response(lambda reply: reply.status == 503):
        repository.cancel(context_id)
    expect(person.page.locator("h1")).to_contain_text("pending")
    person.context.unroute(place)
    expect(person.page.locator("h1")).to_contain_text("cancelled", timeout=TOLD_MS)


def test_however_much_changes_a_page_asks_two_queries_a_second(
    meet: Meet, repository: MongoContextRepository
) -> None:
    """Over some seconds in which hundreds of contexts change, on the page that costs most."""
    person, costs = meet("viewer"), []

    def note(reply: Response) -> None:
        costs.append(int(reply.headers.get("agent-cost", "0")))

    person.go()
    is_in(person.page, "live")
    person.page.on("response", note)
    with changing(repository) as changes:
        began = time.monotonic()
        person.page.wait_for_timeout(LONG_MS)
        seconds = time.monotonic() - began
    assert len(changes) > 100
    assert len(costs) >= 2
    assert sum(costs[:-1]) <= SAVED + COMMANDS_A_SECOND * seconds


@contextmanager
def changing(repository: MongoContextRepository) -> Iterator[list[str]]:
    """Insert contexts all the time, as fast as one thread can; the ids so far."""
    ids: list[str] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            ids.append(inserted(repository))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield ids
    finally:
        ended.set()
        thread.join()
