"""What the client's tests ask for, and how it ends."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from agent.models import Document
from tests.factories import LONG_AGO

ONE_STEP = {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}
TWO_STEPS = {
    "steps": [
        {"key": "draft", "service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}},
        {"key": "score", "service_type": "ANALYSIS", "service_template": {}, "after": ["draft"]},
    ]
}


def end(kept: Database[Document], id: str, status: str = "completed", **fields: Any) -> None:
    """End a context, as a worker does."""
    change = {"status": status, "completed_at": LONG_AGO, "updated_at": LONG_AGO, **fields}
    assert kept["contexts"].update_one({"_id": id}, {"$set": change}).matched_count == 1
