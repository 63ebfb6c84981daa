"""Makes `docs/problems.md` from `agent/api/problem_kinds.py`; a test holds the two together.

python -m scripts.problems_doc
"""

from __future__ import annotations

from pathlib import Path

from agent.api.problem_kinds import page

PAGE = Path("docs/problems.md")

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
