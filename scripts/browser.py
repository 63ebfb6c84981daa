"""The browser in which the pages are tested and photographed: which one it is, and its start."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE = "AGENT_TEST_BROWSER"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser without a window. As long as it runs, its thread can have no other event loop.

    Raises:
        AssertionError: there is none on this machine.
    """
    named = os.environ.get(VARIABLE)
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"no Chromium: install it (`apt-get install chromium`), or name one in {VARIABLE}"
    with sync_playwright() as playwright:
        # as root it starts without its sandbox only; it visits our own pages alone
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
