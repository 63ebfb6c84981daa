"""Somebody with a browser: what they see, what they press, and what the browser complains of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import axe_playwright_python
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Response,
    StorageState,
)

from tests.waiting import wait_until

PASSWORD = "correct horse battery"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
WEIGHTY = frozenset({"serious", "critical"})
PATIENCE_MS = 10_000
NARROW, WIDE = 360, 1280
"""Widths in pixels."""
HEIGHT = 900
ZONE = ZoneInfo("Asia/Kolkata")
"""Where everybody sits who visits: half an hour beside UTC, so that no time is right by chance."""
EXPECTED = re.compile(r"the server responded with a status of (400|401|403|404|409|429|503)")
"""Said by the browser of a reply that a test asks for."""
UNFOLD = "for (const each of document.querySelectorAll('details')) each.open = true"
TOO_WIDE = """(() => {
  const page = document.documentElement;
  if (page.scrollWidth <= page.clientWidth) return null;
  const right = (each) => each.getBoundingClientRect().right;
  const all = [...document.querySelectorAll("body *:not(.scroll *, .menu *)")];
  return all.reduce((one, other) => (right(other) >= right(one) ? other : one)).outerHTML
    .slice(0, 200);
})()"""
CHARTED = """() => document.querySelector("#charts .chart") === null
  || document.querySelector("#charts canvas") !== null"""
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

Theme = Literal["light", "dark"]


class Visitor:
    """One person, in a session of their own.

    Args:
        url: of `web`.
        session: what a browser kept in which they have signed in.
    """

    def __init__(
        self, browser: Browser, url: str, *, width: int = WIDE, theme: Theme = "light",
        scripts: bool = True, session: StorageState | None = None,
    ) -> None:  # fmt: skip
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": HEIGHT}, color_scheme=theme,
            reduced_motion="reduce", java_script_enabled=scripts, storage_state=session,
            timezone_id=ZONE.key, locale="en-GB",
        )  # fmt: skip
        self.complaints: list[str] = []
        self.page = self.open()

    def open(self) -> Page:
        """Another tab."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))
        return page

    def go(self, path: str = "") -> Response:
        """Open a page of the dashboard."""
        reply = self.page.goto(f"{self.url}/dashboard{path}")
        assert reply is not None
        return reply

    def wait_for(self, path: str, words: str) -> None:
        """Open a page until it says this: what all pages share may be some seconds old."""
        wait_until(lambda: self.go(path).ok and words in self.text(), interval=0.2)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Fill in the form and send it."""
        self.go("/login")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def press(self, name: str | re.Pattern[str], *, within: str = "main") -> None:
        """Press a button, by its words."""
        self.page.locator(within).get_by_role("button", name=name).first.click()

    def text(self) -> str:
        """What the page says."""
        return self.page.locator("body").inner_text()

    def accessible(self) -> list[str]:
        """What axe-core finds that is serious, in words; of what is here and is shown now."""
        self.page.evaluate(AXE)
        found: dict[str, Any] = json.loads(
            self.page.evaluate(
                "axe.run({resultTypes: ['violations']}).then(found => JSON.stringify(found))"
            )
        )
        return [
            f"{each['id']}: {each['help']}: "
            + "; ".join(node["html"] for node in each["nodes"][:3])
            for each in found["violations"]
            if each["impact"] in WEIGHTY
        ]

    def faults(self, path: str, status: int = 200) -> list[str]:
        """What is wrong with a page: narrow and light, then wide and dark."""
        self.page.set_viewport_size({"width": NARROW, "height": HEIGHT})
        self.page.emulate_media(color_scheme="light")
        reply = self.go(path)
        found = [] if reply.status == status else [f"{path}: answered {reply.status}"]
        self.page.evaluate(UNFOLD)
        self.page.wait_for_function(CHARTED)
        found += [f"{path}, narrow: {each}" for each in self._faults_now()]
        self.page.set_viewport_size({"width": WIDE, "height": HEIGHT})
        self.page.emulate_media(color_scheme="dark")
        return found + [f"{path}, wide: {each}" for each in self._faults_now()]

    def _faults_now(self) -> list[str]:
        self.page.evaluate(DRAWN)
        return [*self.accessible(), *self.too_wide()]

    def too_wide(self) -> list[str]:
        """What makes people scroll sideways, since the page is wider than its window."""
        found = self.page.evaluate(TOO_WIDE)
        return [] if found is None else [f"wider than its window: {found}"]

    def close(self) -> None:
        self.context.close()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.complaints.append(f"{message.type}: {message.text} ({self.page.url})")
