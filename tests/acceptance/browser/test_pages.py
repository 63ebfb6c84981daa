"""Every page in a real browser: nothing is refused, nothing is too wide, everybody can read it."""

from __future__ import annotations

import pytest

from tests.acceptance.browser.conftest import Meet
from tests.acceptance.browser.visitor import NARROW, WIDE

PAGES = ("", "/services", "/workers", "/bridge", "/contexts", "/requests", "/requests?kind=batch",
         "/retries", "/schedules", "/dead", "/audit")  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_empty_pages_are_accessible(meet: Meet, theme: str) -> None:
    """In both themes; axe-core finds nothing serious."""
    person = meet("operator", theme=theme)
    for path in PAGES:
        assert person.go(path).status == 200, path
        assert person.accessible() == [], path


def test_no_page_is_wider_than_its_window(meet: Meet) -> None:
    """From 360 pixels on; what is wider scrolls by itself."""
    for width in (NARROW, WIDE):
        person = meet("viewer", width=width)
        for path in PAGES:
            person.go(path)
            assert not person.overflows(), (path, width)
