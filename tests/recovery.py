"""How long it took until work went on after a fault: noted by tests, shown as a table at the end.

A note travels with its test's report, so that the table is whole however many processes run tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

PROPERTY = "recovery"
HEADING = ("fault", "recovered in", "at most", "until")

Note = tuple[str, str, str, str]


class Recovery:
    """Takes the times of one test.

    Args:
        note: takes one line of the table.
    """

    def __init__(self, note: Callable[[Note], None]) -> None:
        self._note = note

    @contextmanager
    def of(self, fault: str, *, at_most: str, until: str) -> Iterator[None]:
        """Measure the time that is spent within; it is to begin when the fault has been confirmed.

        Nothing is noted when what is within fails. The time is shown and never asserted: what waits
        has a time limit of its own, generous enough for a busy machine.

        Args:
            fault: in words, as `docs/guarantees.md` has it.
            at_most: the promise, in words and seconds of this test's settings, such as
                "lease + rescue, 3 + 5 s".
            until: what has happened at the end, such as "all final".
        """
        began = time.monotonic()
        yield
        self._note((fault, f"{time.monotonic() - began:.1f} s", at_most, until))


@pytest.fixture
def recovery(record_property: Callable[[str, object], None]) -> Recovery:
    """Measures how long this test's faults last."""
    return Recovery(lambda note: record_property(PROPERTY, note))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table of all tests that ran."""
    reports = terminalreporter.getreports("passed")
    notes = sorted(
        tuple(map(str, value))
        for report in reports
        for name, value in report.user_properties
        if name == PROPERTY and report.when == "call"
    )
    if not notes:
        return
    terminalreporter.section("recovery")
    widths = [max(len(row[column]) for row in (HEADING, *notes)) for column in range(len(HEADING))]
    for row in (HEADING, *notes):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())
