"""Which pictures there are, and how each is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Browser, Page

from scripts.screenshots.backlog import STUBBORN_ID
from scripts.screenshots.families import BATCH_ID, REPORT_ID
from scripts.screenshots.stage import NAME, PASSWORD

WIDE, NARROW = 1280, 360
SETTLED_MS = 400
"""Charts are drawn, times are told in the reader's zone."""


class Picture(NamedTuple):
    """One page as it is shown.

    Args:
        height: of the window; no more of the page is in the picture.
    """

    name: str
    path: str
    theme: Literal["light", "dark"] = "light"
    width: int = WIDE
    height: int = 900


PICTURES = (
    Picture("overview", "", height=980),
    Picture("overview-dark", "", "dark", height=980),
    Picture("overview-narrow", "", width=NARROW, height=780),
    Picture("retries", "/retries", height=640),
    Picture("dead", "/dead", height=680),
    Picture("context", f"/contexts/{STUBBORN_ID}", height=900),
    Picture("context-narrow", f"/contexts/{STUBBORN_ID}", "dark", NARROW, 780),
    Picture("request-dark", f"/requests/{REPORT_ID}", "dark", height=820),
    Picture("batch", f"/requests/{BATCH_ID}", height=720),
    Picture("services", "/services", height=760),
    Picture("workers", "/workers", height=860),
    Picture("audit", "/audit", height=560),
)


def take(browser: Browser, url: str, folder: Path, wanted: tuple[Picture, ...] = PICTURES) -> None:
    """Take them, as somebody who has signed in."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        context = browser.new_context(
            color_scheme=theme, locale="en-GB", timezone_id="Europe/Vienna", reduced_motion="reduce"
        )
        page = context.new_page()
        _sign_in(page, url)
        for picture in wanted:
            if picture.theme == theme:
                _take_one(page, url, folder, picture)
        context.close()


def _sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/dashboard/login")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard")


def _take_one(page: Page, url: str, folder: Path, picture: Picture) -> None:
    page.set_viewport_size({"width": picture.width, "height": picture.height})
    page.goto(f"{url}/dashboard{picture.path}")
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=folder / f"{picture.name}.png")
