"""Schedules: requests that are asked for again and again, and what people do with them.

Each due time becomes one request, whose id says of which schedule and which time: whoever fires it
first stores it, and nobody stores it twice.
"""

from __future__ import annotations

from datetime import UTC, datetime

from agent.errors import (
    AlreadyStored,
    ContextUnreadable,
    NotStorable,
    RequestInvalid,
    ScheduleNotFound,
)
from agent.intake.request_service import RequestService
from agent.intake.schedule import (
    Schedule,
    document_of,
    fired_id,
    next_times,
    read_schedule,
    request_of,
    rule_of,
)
from agent.intake.submissions import Submissions, Submitted
from agent.intake.templates import TemplateSource
from agent.intake.values import shown
from agent.models import Document
from agent.store.mongo_context_repository import MongoContextRepository

__all__ = ["Schedule", "Schedules", "read_schedule"]

SOURCE = "schedule"
"""Of the contexts that come of schedules."""


class Schedules:
    """What people ask of schedules, and what is fired.

    Args:
        requests: how a request becomes contexts.
    """

    def __init__(self, repository: MongoContextRepository, requests: RequestService) -> None:
        self._repository = repository
        self._requests = requests
        self._submissions = Submissions(requests, repository)

    @classmethod
    def of(cls, repository: MongoContextRepository) -> Schedules:
        """Schedules by the settings, with the templates of their folders.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        settings = repository.settings
        templates = TemplateSource.of(repository, settings)
        return cls(repository, RequestService.of(repository, templates, settings))

    def add(self, schedule: Schedule, *, replace: bool = False) -> Document:
        """Store a schedule; as it is stored.

        Args:
            replace: put it in the place of the one of the same name, if there is one.

        Raises:
            RequestInvalid: its request cannot become a context now, or it is never due.
            AlreadyStored: there is one of this name.
            StoreUnavailable: MongoDB did not answer.
        """
        self._requests.check(request_of(schedule.request))
        now = self._repository.now()
        document = document_of(schedule, now)
        try:
            if replace:
                self._repository.replace_schedule(document)
            else:
                self._repository.insert_schedule(document)
        except AlreadyStored:
            raise AlreadyStored(f"there is a schedule {schedule.name!r} already") from None
        except NotStorable as exc:
            raise RequestInvalid(f"the schedule cannot be stored: {exc}") from exc
        return document

    def find(self, name: str) -> Document:
        """A stored schedule.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        found = self._repository.find_schedule(name)
        if found is None:
            raise ScheduleNotFound(f"no schedule {shown(name)}")
        return found

    def pause(self, name: str) -> None:
        """Have it not be due until it is resumed.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        if not self._repository.pause_schedule(name):
            raise ScheduleNotFound(f"no schedule {shown(name)}")

    def resume(self, name: str) -> Document:
        """End its pause. What was due meanwhile was meant not to run: it is not caught up.

        Raises:
            ScheduleNotFound: there is none of this name.
            RequestInvalid: it cannot be read.
        """
        found = self.find(name)
        next_at = rule_of(found).next_after(self._repository.now())
        self._repository.resume_schedule(found, next_at)
        return self.find(name)

    def remove(self, name: str) -> None:
        """Forget it. What came of it stays.

        Raises:
            ScheduleNotFound: there is none of this name.
        """
        if not self._repository.remove_schedule(name):
            raise ScheduleNotFound(f"no schedule {shown(name)}")

    def run_now(self, name: str) -> str:
        """Ask for its request once, beside its due times and its pause.

        Returns:
            The id of the context; of the one that holds the request's unique key, if one does.

        Raises:
            ScheduleNotFound: there is none of this name.
            RequestInvalid: its request cannot become a context any more.
            StoreUnavailable: MongoDB did not answer. Whether it was stored is open.
        """
        found = self.find(name)
        submitted = self._submit(found, self._repository.now(), None)
        if not submitted.existing:
            self._repository.note_run(name, submitted.id)
        return submitted.id

    def next_times(self, name: str, count: int) -> list[datetime]:
        """When it is due next, so many times at most; also while it is paused.

        Raises:
            ScheduleNotFound: there is none of this name.
            RequestInvalid: it cannot be read.
        """
        found = self.find(name)
        return next_times(found, self._repository.now(), count)

    def fire(self, stored: Document, due: datetime) -> Submitted:
        """Store the request of a due time, if nobody has.

        Returns:
            The id of its context; or of the one that holds the request's unique key.

        Raises:
            RequestInvalid: it cannot become a context any more.
            ContextUnreadable: another program wrote it, and what it asks for cannot be read.
            StillInProgress: the one that holds the unique key is being stored.
            StoreUnavailable: MongoDB did not answer. The same once more does no harm.
        """
        return self._submit(stored, due, fired_id(str(stored["_id"]), due))

    def _submit(self, stored: Document, due: datetime, context_id: str | None) -> Submitted:
        body = stored.get("request")
        if not isinstance(body, dict):
            raise ContextUnreadable("its `request` is no object")
        request = request_of(body)
        schedule = {"name": str(stored["_id"]), "due_at": due.astimezone(UTC).isoformat()}
        request.metadata = {"schedule": schedule, **request.metadata}
        return self._submissions.submit(request, owner=SOURCE, source=SOURCE, id=context_id)
