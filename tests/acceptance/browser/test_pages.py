"""Every page in a real browser: nothing is refused, nothing is too wide, everybody can read it."""

from __future__ import annotations

import pytest

from tests.acceptance.browser.conftest import Meet
from tests.acceptance.browser.filled import TRIED

PAGES = ("", "/services", "/workers", "/bridge", "/contexts", "/requests", "/requests?kind=batch",
         "/retries", "/schedules", "/dead", "/audit")  # fmt: skip
ONES = (
    f"/contexts/{TRIED}",
    "/contexts/ctx_completed",
    "/contexts/ctx_failed",
    "/contexts/ctx_processing",
    "/contexts/ctx_pending",
    "/requests/req_1",
    "/requests/bat_1",
)
QUESTIONS = (
    f"/retries/change?what=run-now&id={TRIED}",
    f"/retries/change?what=postpone&id={TRIED}",
    "/retries/change?what=cancel&scope=all",
    "/dead/retry?service=ANALYSIS&kind=k503",
    "/dead/retry?scope=all",
)
ERRORS = {"/no-such-page": 404, "/contexts/ctx_none": 404, "/contexts?status=odd": 400,
          "/retries/change?what=odd": 400}  # fmt: skip


def test_empty_pages_are_for_everybody(meet: Meet) -> None:
    """At both widths and in both themes; axe-core finds nothing serious."""
    person = meet("operator")
    assert [each for path in PAGES for each in person.faults(path)] == []


@pytest.mark.usefixtures("filled")
def test_filled_pages_are_for_everybody(meet: Meet) -> None:
    """Lists, what is behind them, and what is asked before a change."""
    person = meet("admin")
    person.wait_for("/services", "a new key (Ann)")
    shown = (*PAGES, *ONES, *QUESTIONS)
    assert [each for path in shown for each in person.faults(path)] == []


def test_what_is_no_page_is_for_everybody_too(meet: Meet) -> None:
    """Errors, and the form of whoever has not signed in."""
    person = meet("operator")
    found = [each for path, status in ERRORS.items() for each in person.faults(path, status)]
    assert [*found, *meet().faults("/login")] == []
