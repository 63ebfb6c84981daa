"""The demo itself: everything is put in, is done, and is looked at."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from agent.cli.demo.bodies import stored_templates
from agent.cli.demo.plan import Planned
from agent.cli.demo.progress import teller
from agent.cli.demo.stage import Stage
from agent.cli.opened import Opened
from agent.intake.context_manager import ContextManager
from agent.intake.request_service import RequestService, read_request
from agent.intake.templates import TemplateSource
from agent.models import FINAL, Document, context_key
from agent.store.mongo_context_repository import MongoContextRepository

LOOK_SECONDS = 0.25
PUT_IN = "put in"
"""The first bar: how much of it is stored."""


class Performance:
    """One run over a plan.

    Args:
        began: when the demo did, on the monotonic clock.
    """

    def __init__(
        self, stage: Stage, plan: Sequence[Planned], console: Console, began: float
    ) -> None:
        self._stage = stage
        self._repository = stage.opened.repository
        self._plan = plan
        self._began = began
        self._totals = Counter(each.service_type for each in plan)
        services = [name for name in stage.opened.settings.registry if name in self._totals]
        self._telling = teller(
            console, {PUT_IN: len(plan), **{name: self._totals[name] for name in services}}, began
        )
        self._ids: list[Any] = []
        self._told_at = float("-inf")

    def run(self, timeout: float) -> bool:
        """Put everything in, and tell how far it is until all of it is final; False when that
        takes too long.

        Raises:
            EmbeddedServerFailed: a process did not come up.
        """
        with self._telling:
            self._put_in()
            self._stage.wait_for_processes()
            while not self._look():
                if time.monotonic() - self._began > timeout:
                    return False
                threading.Event().wait(LOOK_SECONDS)
            return True

    def documents(self) -> list[Document | None]:
        """The contexts in the order of the plan; None for one that is gone."""
        readable = self._repository.readable(self._ids)
        found = {context_key(context_id): document for context_id, document in readable}
        return [found.get(context_key(context_id)) for context_id in self._ids]

    def _put_in(self) -> None:
        """Store all of it, as applications and other programs would."""
        service = service_of(self._stage.opened)
        for planned in self._plan:
            self._ids.append(put_in(planned, service, self._repository, source="demo"))
            if time.monotonic() - self._told_at > LOOK_SECONDS:
                self._look()

    def _look(self) -> bool:
        """Tell how far it is; whether everything is final."""
        self._told_at = time.monotonic()
        counts = self._repository.count_by_status()
        done = {name: _finals(counts.get(name, {})) for name in self._totals}
        self._telling.tell({PUT_IN: len(self._ids), **done})
        return all(done[name] >= total for name, total in self._totals.items())


def service_of(opened: Opened) -> RequestService:
    """What takes the requests of the plan; the templates that they name are stored first."""
    repository, settings = opened.repository, opened.settings
    for template in stored_templates():
        repository.store_template(template)
    return RequestService(
        ContextManager(repository, repository.now, settings.registry, settings),
        TemplateSource(repository, registry=settings.registry),
        settings.registry,
    )


def put_in(
    planned: Planned, service: RequestService, repository: MongoContextRepository, *, source: str
) -> Any:
    """Store one of the plan, as an application or another program would; its id."""
    if planned.document is not None:
        repository.insert_contexts([dict(planned.document)])
        return planned.document["_id"]
    context_id = service.submit(read_request(planned.submitted(repository.now())), source=source)
    if planned.course.cancelled:
        repository.cancel(context_id)
    return context_id


def _finals(counts: Mapping[str, int]) -> int:
    return sum(counts.get(str(status), 0) for status in FINAL)
