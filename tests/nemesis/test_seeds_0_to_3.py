"""Seeds of `make nemesis`, so that each change meets some; in several files, which run at once."""

from __future__ import annotations

import pytest

from tests.nemesis.conftest import Judge


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(0, 4))
def test_a_line_with_random_faults_is_sound(judge: Judge, seed: int) -> None:
    """Nothing lost, nothing doubled, and each fault has really struck."""
    judge(seed)
