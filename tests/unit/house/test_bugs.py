"""The deliberate bugs of `make bugs`."""

from __future__ import annotations

import pytest

from scripts.bugs.made import Bug, BugCannotBeMade, read_bugs


@pytest.mark.parametrize("bug", read_bugs(), ids=lambda bug: bug.name)
def test_a_bug_can_be_made(bug: Bug) -> None:
    """What it replaces stands in its file, and the file with the bug is Python all the same."""
    compile(bug.changed(), bug.file, "exec")


def test_a_bug_whose_code_is_gone_says_so() -> None:
    """Rather than pass for one that no test noticed."""
    bug = Bug("gone", "", "agent/models.py", "no such line", "", ("tests/unit",))
    with pytest.raises(BugCannotBeMade, match="0 times in agent"):
        bug.changed()
