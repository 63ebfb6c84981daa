"""A request of several steps amid its way, and a batch amid its progress: stored as any other, then
moved on."""

from __future__ import annotations

from typing import Any

from agent.intake.families import Terms, children_of, parent_of
from agent.intake.items import ItemTerms, batch_parent, item_id
from agent.models import Document, ErrorRecord, RequestData, Step, Template
from scripts.screenshots.making import Call, Maker, seconds
from scripts.screenshots.works import (
    FORECAST,
    INVOICE,
    LETTER,
    OVERLOADED,
    REGIONS,
    SUMMARY,
    Work,
    too_long,
)

REPORT_ID = "ctx_01KB7Q3T6H1E9XNB4M0VZCW8QS"
BATCH_ID = "bat_01KB7PV8R2KX5D0YJ6T3GNA9MH"
ITEMS, DONE, RUNNING = 640, 402, 4
BATCH_AGE = 420.0


def _step(key: str, work: Work, *after: str) -> Step:
    template = Template(id=work.template_id, version="3", service_type=work.service_type,
                        service_template=work.body)  # fmt: skip
    return Step(key=key, template=template, after=after)


REPORT = (
    *(_step(f"forecast-{each}", FORECAST) for each in REGIONS),
    _step("summary", SUMMARY, *(f"forecast-{each}" for each in REGIONS)),
    _step("letter", LETTER, "summary"), _step("chart-notes", SUMMARY, "summary"),
    _step("send", INVOICE, "letter", "chart-notes"),
)  # fmt: skip


def report(maker: Maker) -> list[Document]:
    """Three forecasts, of which one is tried again, and what comes after them."""
    return [*_report(maker, REPORT_ID, 95.0), *_report(maker, maker.new_id(), 900.0),
            *_report(maker, maker.new_id(), 2200.0, done=True)]  # fmt: skip


def _report(maker: Maker, id: str, age: float, *, done: bool = False) -> list[Document]:
    made = maker.now - seconds(age)
    request = RequestData(id=maker.new_id("req"), text="Quarterly report", user_id="user:42")
    terms = Terms(priority=3, now=made, due=made, deadline_at=None, tags={"team": "planning"},
                  metadata={}, source="api", max_attempts=lambda step: 20)  # fmt: skip
    parent = parent_of(REPORT, request, terms, template_id="quarterly-report",
                       template_version="2", id=id).to_document()  # fmt: skip
    children = [each.to_document() for each in children_of(id, REPORT, request, terms)]
    for child in children:
        key = child["step"]
        if done or key in ("forecast-north", "forecast-south"):
            child.update(_ended(maker, child, age, 3.0 if key.startswith("forecast") else 9.0))
        elif key == "forecast-west":
            child.update(_again(maker, child, age))
    count = len(children) if done else 2
    progress = {"total": len(children), "processed": count, "succeeded": count, "failed": 0,
                "cancelled": 0, "percentage": round(100 * count / len(children), 1)}  # fmt: skip
    del parent["unsettled"]
    parent |= {"results": {"progress": progress}, "available_at": None}
    if done:
        parent |= {"status": "completed", "completed_at": made + seconds(18)}
    return [parent, *children]


def _ended(maker: Maker, child: Document, age: float, at: float) -> dict[str, Any]:
    work = next(each for each in (FORECAST, SUMMARY, LETTER, INVOICE)
                if each.template_id == child["template"]["id"])  # fmt: skip
    return _moved(maker.context(work, "completed", age, (Call(at, maker.took(work), "completed"),)))


def _again(maker: Maker, child: Document, age: float) -> dict[str, Any]:
    calls = (Call(0.6, 1.0, "retry", OVERLOADED), Call(5.0, 1.2, "retry", OVERLOADED),
             Call(21.0, 0.8, "retry", OVERLOADED))  # fmt: skip
    return _moved(
        maker.context(FORECAST, "scheduled", age, calls, wait_reason="retry",
                      available_at=maker.now + seconds(75))
    )  # fmt: skip


MOVED = ("status", "wait_reason", "available_at", "updated_at", "fence", "attempt", "failures",
         "attempts", "results", "error", "started_at", "completed_at",
         "processed_by", "lease")  # fmt: skip


def _moved(made: Document) -> dict[str, Any]:
    """What becomes of a context as it moves; what it is stays."""
    return {name: made[name] for name in MOVED if name in made}


def batch(maker: Maker) -> list[Document]:
    """Six hundred invoices: two thirds are out, some cannot be."""
    terms = ItemTerms(
        template_id=INVOICE.template_id, template_version="3", steps=(_step("only", INVOICE),),
        request={"id": maker.new_id("req"), "data": {}, "user_id": "user:7"}, priority=5, due=None,
        deadline_at=None, tags={"run": "november"}, source="api",
    )  # fmt: skip
    made = maker.now - seconds(BATCH_AGE)
    items = [_item(maker, row) for row in range(1, ITEMS + 1)]
    failed = sum(each["status"] == "failed" for each in items)
    progress = {"total": ITEMS, "processed": DONE, "succeeded": DONE - failed, "failed": failed,
                "cancelled": 0, "percentage": round(100 * DONE / ITEMS, 1)}  # fmt: skip
    parent = batch_parent(
        terms, id=BATCH_ID, total=ITEMS, now=made, upload="none", chunks=1, metadata={},
        rejected={"count": 2, "rows": [{"row": 77, "error": "`address` is missing"}]},
    )  # fmt: skip
    del parent["unsettled"], parent["expanding"]
    return [{**parent, "results": {"progress": progress}}, *items]


def _item(maker: Maker, row: int) -> Document:
    of_batch: dict[str, Any] = {
        "tags": {"run": "november"},
        "_id": item_id(BATCH_ID, row),
        "parent_id": BATCH_ID,
        "step": f"{row:07d}",
    }
    if row > DONE + RUNNING:
        return maker.context(INVOICE, "pending", BATCH_AGE, **of_batch)
    if row > DONE:
        return maker.running(INVOICE, 0.2, **of_batch)
    at = row * (BATCH_AGE - 8) / DONE
    error = _error_of(row)
    ended = Call(at, maker.took(INVOICE), "failed" if error else "completed", error)
    status = "failed" if error else "completed"
    return maker.context(INVOICE, status, BATCH_AGE, (ended,), **of_batch)


def _error_of(row: int) -> ErrorRecord | None:
    if row % 29 == 0:
        return ErrorRecord(type="ServiceRejected", status_code=422, retryable=False,
                           message=f"no mailbox at customer{row}@example.org")  # fmt: skip
    if row % 97 == 0:
        return too_long(9000 + row)
    return None
