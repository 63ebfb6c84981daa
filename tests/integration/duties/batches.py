"""Batches on a real server: asked for, expanded, and carried out as a test says."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from agent.duties.expand import Expand
from agent.intake.batch import Batch, Rejected, Row, rows_of
from agent.intake.batches import Batches, Created
from agent.intake.templates import TemplateSource
from agent.models import Claim, Document
from agent.store.mongo_context_repository import MongoContextRepository
from tests.integration.duties.requests import LEASE, Requests

GREETING: Mapping[str, Any] = {
    "service_type": "GENERATIVE",
    "service_template": {"prompt": "Greet {{ request.data.name }}"},
}
CAMPAIGN: Mapping[str, Any] = {
    "steps": [
        {"key": "draft", "service_type": "GENERATIVE", "service_template": {"prompt": "Hello"}},
        {
            "key": "send",
            "service_type": "COMMUNICATION",
            "service_template": {"text": "{{ inputs.draft.text }}"},
            "after": ["draft"],
        },
    ]
}
PEOPLE: list[Any] = [{"name": "Ann", "user_id": "user:1"}, {"name": "Bob"}, {"name": "Cem"}]


class Campaigns:
    """What people and the duties do to batches, one thing after the other."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self.repository: MongoContextRepository = requests.repository
        settings = self.repository.settings
        templates = TemplateSource.of(self.repository, settings)
        self.batches = Batches.of(self.repository, templates, settings)
        self.expand = Expand(self.repository)

    def ask(
        self,
        items: list[Any] | None = None,
        *,
        rows: Iterable[Row | Rejected] | None = None,
        template: Mapping[str, Any] = GREETING,
        **asked: Any,
    ) -> Created:
        """A batch of these items or rows; people to greet if there are none."""
        batch = Batch.model_validate({"template": dict(template), **asked})
        given = rows_of(PEOPLE if items is None else items) if rows is None else rows
        return self.batches.create(batch, given, owner="test")

    def make_items(self) -> None:
        """Expand until nothing is left."""
        for _ in range(50):
            self.expand.look_again()
            self.expand.run()
            if not self.repository.expanding_batches(1):
                return
        raise AssertionError("there is always something left to expand")

    def run(self) -> None:
        """Expand and settle until nothing is left."""
        self.make_items()
        self.requests.run()

    def claim(self, service: str = "GENERATIVE") -> list[Claim]:
        claims = self.repository.claim(service, calls=1000, lease=LEASE, owner="bridge:1")
        return list(claims)

    def carry_out(self, service: str = "GENERATIVE", *, failing: tuple[str, ...] = ()) -> int:
        """Carry out all that is pending of a service; how many that was.

        Args:
            failing: names of people for whom it fails.
        """
        claims = self.claim(service)
        for claim in claims:
            found = self.repository.find_context(claim.context_id)
            name = found["request"]["data"].get("name")
            hold = self.requests.start(claim)
            assert self.requests.end(hold, fails=name in failing, results={"text": f"Hi {name}"})
        self.run()
        return len(claims)

    def items(self, batch_id: str) -> list[Document]:
        """All items, as they are downloaded."""
        return list(itertools.chain(*self.repository.read_items(batch_id)))

    def rows_left(self) -> int:
        """Chunks of rows that are kept."""
        return self.repository.database["uploads"].count_documents({})
