"""ANALYSIS' job: statistics of a numeric series, or of each numeric column of a table of rows."""

import math
from collections.abc import Sequence
from typing import Any

from agent.sandbox.incoming import Call
from agent.sandbox.replies import Reply, json_reply

TOO_LARGE = "the numbers are too large"


def analyze(call: Call) -> Reply:
    """Statistics of `series` or of `rows`, in the template or else in the request's data."""
    try:
        found = _statistics_of(call)
    except ValueError as exc:
        return json_reply({"success": False, "request_id": call.request_id, "error": str(exc)})
    return json_reply({"success": True, "request_id": call.request_id, **found})


def _statistics_of(call: Call) -> dict[str, Any]:
    series = _first(call, "series")
    if series is not None:
        numbers = numbers_in(series) if isinstance(series, list) else None
        if not numbers:
            raise ValueError("series must be a list of numbers")
        return {"statistics": statistics_of(numbers)}
    rows = _first(call, "rows")
    if rows is None:
        raise ValueError("there is neither a series nor rows to analyse")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("rows must be a list of objects")
    columns = numeric_columns(rows)
    if not columns:
        raise ValueError("rows have no numeric column")
    statistics = {name: statistics_of(numbers) for name, numbers in columns.items()}
    return {"rows": len(rows), "columns": statistics}


def _first(call: Call, name: str) -> Any:
    value = call.template_data.get(name)
    return call.data.get(name) if value is None else value


def numeric_columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """The columns that hold numbers, and nothing else but nulls."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    numbers = {name: numbers_in(column) for name, column in values.items()}
    return {name: column for name, column in numbers.items() if column}


def numbers_in(values: Sequence[Any]) -> list[float] | None:
    """The numbers, nulls left out; `None` when anything else is among them."""
    present = [value for value in values if value is not None]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in present):
        return None
    try:
        return [float(value) for value in present]
    except OverflowError as exc:
        raise ValueError(TOO_LARGE) from exc


def statistics_of(numbers: Sequence[float]) -> dict[str, float | int | None]:
    """Count, sum, mean, median, min, max and the sample's standard deviation (`None` for one).

    Raises:
        ValueError: a result is beyond what a float holds.
    """
    count = len(numbers)
    try:
        total = math.fsum(numbers)
        squares = math.fsum((number - total / count) ** 2 for number in numbers)
    except OverflowError as exc:
        raise ValueError(TOO_LARGE) from exc
    if not math.isfinite(squares):
        raise ValueError(TOO_LARGE)
    ordered = sorted(numbers)
    return {
        "count": count,
        "sum": total,
        "mean": total / count,
        "median": (ordered[(count - 1) // 2] + ordered[count // 2]) / 2,
        "min": ordered[0],
        "max": ordered[-1],
        "stdev": math.sqrt(squares / (count - 1)) if count > 1 else None,
    }
