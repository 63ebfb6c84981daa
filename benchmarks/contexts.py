"""The contexts that are measured: whole documents, as the intake would store them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from agent.models import Context, Document, RequestData, Status, Template, new_id
from benchmarks.bench import Room

SERVICE_TYPE = "GENERATIVE"
INSERTED_AT_ONCE = 1000

TEMPLATE = Template(
    id="weekly_letter",
    service_type=SERVICE_TYPE,
    service_template={
        "prompt": "Write a letter to {name} about the week of {week}, in {language}.",
        "temperature": 0.2,
        "max_tokens": 800,
        "sections": ["greeting", "figures", "outlook"],
    },
    parameters={"language": "en"},
)


def new_documents(count: int, now: datetime, *, spread: bool = False) -> Iterator[Document]:
    """So many contexts that may run now.

    Args:
        spread: over all priorities instead of the default one.
    """
    for number in range(count):
        request = RequestData(
            id=new_id("req"),
            text="A letter for the customer, please",
            user_id=f"user-{number % 97}",
            data={"name": f"Customer {number}", "week": number % 52, "figures": [1.5, 2.25, 3.0]},
        )
        context = Context(
            id=new_id("ctx"),
            service_type=SERVICE_TYPE,
            status=Status.PENDING,
            priority=1 + number % 10 if spread else 5,
            template=TEMPLATE,
            request=request,
            tags={"campaign": "benchmark"},
            created_at=now,
            updated_at=now,
            available_at=now,
        )
        yield context.to_document()


def insert(room: Room, documents: Iterable[Document]) -> list[str]:
    """Insert them in large batches; their ids."""
    ids: list[str] = []
    iterator = iter(documents)
    while batch := list(islice(iterator, INSERTED_AT_ONCE)):
        room.database["contexts"].insert_many(batch, ordered=False)
        ids += [str(document["_id"]) for document in batch]
    return ids
