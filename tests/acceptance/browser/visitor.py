"""Somebody with a browser: what they see, what they press, and what the browser complains of."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright

PASSWORD = "correct horse battery"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
WEIGHTY = frozenset({"serious", "critical"})
PATIENCE_MS = 10_000
NARROW, WIDE = 360, 1280
"""Widths in pixels."""
EXPECTED = re.compile(r"the server responded with a status of (400|401|403|404|409|429|503)")
"""Said by the browser of a reply that a test asks for."""

Theme = Literal["light", "dark"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser without a window.

    Raises:
        AssertionError: there is none on this machine.
    """
    named = os.environ.get("AGENT_TEST_BROWSER")
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "no Chromium: run `make setup` as root, or name one in AGENT_TEST_BROWSER"
    with sync_playwright() as playwright:
        # as root it starts without its sandbox only; it visits our own pages alone
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Visitor:
    """One person, in a session of their own.

    Args:
        url: of `web`.
    """

    def __init__(
        self, browser: Browser, url: str, *, width: int = WIDE, theme: Theme = "light",
        scripts: bool = True,
    ) -> None:  # fmt: skip
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme,
            java_script_enabled=scripts, timezone_id="Asia/Kolkata", locale="en-GB",
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
            self.page.evaluate("axe.run().then(found => JSON.stringify(found))")
        )
        return [
            f"{each['id']}: {each['help']}: "
            + "; ".join(node["html"] for node in each["nodes"][:3])
            for each in found["violations"]
            if each["impact"] in WEIGHTY
        ]

    def overflows(self) -> bool:
        """Whether the page is wider than its window, so that people have to scroll sideways."""
        wide: bool = self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def close(self) -> None:
        self.context.close()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.complaints.append(f"{message.type}: {message.text} ({self.page.url})")
