"""What the bodies of several routes have in common. Pure."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


def no_foreign_numbers(value: Any) -> Any:
    """Refuse NaN and Infinity, which Python takes for JSON and nobody else does.

    Raises:
        ValueError: there is one.
    """
    level = [value]
    while level:
        each = level.pop()
        if isinstance(each, dict):
            level += each.values()
        elif isinstance(each, list):
            level += each
        elif isinstance(each, float) and not math.isfinite(each):
            raise ValueError("NaN and Infinity are no JSON")
    return value


class Body(BaseModel):
    """A body in which nothing stands that is not known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    _no_foreign_numbers = model_validator(mode="before")(no_foreign_numbers)


class KeyChoice(Body):
    """Which idempotency key the service sees when a context is begun anew."""

    fresh_key: bool | None = Field(
        default=None,
        description="Null decides by the last outcome: a new one after a definite reply, the old "
        "one after anything that may have had its effect.",
    )
