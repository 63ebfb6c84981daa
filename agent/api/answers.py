"""What the API answers of stored documents: `agent/answers.py`, by its name here."""

from agent.answers import (
    context_answer,
    error_of,
    is_parent,
    progress_of,
    read_answer,
    rendered_id,
    request_answer,
    state_answer,
    step_answer,
)

__all__ = [
    "context_answer",
    "error_of",
    "is_parent",
    "progress_of",
    "read_answer",
    "rendered_id",
    "request_answer",
    "state_answer",
    "step_answer",
]
