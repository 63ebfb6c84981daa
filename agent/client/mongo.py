"""The way straight to MongoDB: what `web` does for a call, done here.

Imported only by those who go this way: it brings the intake and the store along.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from agent.answers import batch_answer, is_parent, read_answer
from agent.api.batch_answers import as_json_lines, created_answer
from agent.api.problems import OF_ERRORS
from agent.client.address import Address
from agent.client.calls import Call, Change, Kind, Show, Submit, Upload, Wait, key_of
from agent.client.errors import AgentClientError, NotConfigured, Unavailable
from agent.client.events import Event
from agent.client.fields import body_of, to_json
from agent.client.problems import check_changed, error_of_problem
from agent.client.rows import Blocks, lines_of
from agent.client.transaction import check_joinable
from agent.client.tries import Tries
from agent.client.watching import Watching
from agent.errors import AgentError, ConfigurationError, IllegalTransition, RequestInvalid
from agent.intake.batch import Batch, Mode
from agent.intake.batches import Batches
from agent.intake.request_service import RequestService, read_request
from agent.intake.rows import RowFormat, read_rows
from agent.intake.submissions import Submissions
from agent.intake.templates import TemplateSource
from agent.logs import mask_secrets
from agent.models import FINAL, Document
from agent.rendering import rendered
from agent.settings import load_settings
from agent.store.ids import meant_by
from agent.store.joined import Joined
from agent.store.mongo_context_repository import MongoContextRepository

T = TypeVar("T")

OWNER = "client"
"""Whose idempotency keys these are, and the source of what is stored."""
LOOK_SECONDS = 0.1
LONGEST_LOOK_SECONDS = 1.0
"""Between two looks at what is waited for: the longer it takes, the more seldom."""
EVENTS_SECONDS = 0.5
"""Between two looks of those who listen."""
MOST_STEPS = 500
"""Whose changes are told, as by HTTP."""


class Mongo:
    """Calls that are carried out in MongoDB, each tried again until patience is at its end.

    Args:
        database: its name; None is that of `MONGODB_DATABASE`, then of the URI, then `agent`.

    Raises:
        NotConfigured: the settings cannot be read.
    """

    def __init__(self, address: Address, *, database: str | None, patience: float) -> None:
        self.where = address.shown
        self.patience = patience
        given = {} if database is None else {"mongodb_database": database}
        try:
            settings = load_settings(mongodb_uri=SecretStr(address.url), **given)
            self.repository = MongoContextRepository.connect(settings)
            templates = TemplateSource.of(self.repository, settings)
        except ConfigurationError as exc:
            raise NotConfigured(mask_secrets(str(exc))) from None
        self._service = RequestService.of(self.repository, templates, settings)
        self._submissions = Submissions(self._service, self.repository)
        self._batches = Batches(self.repository, self._service)

    @property
    def client(self) -> MongoClient[Document]:
        return self.repository.client

    def do(self, call: Call, *, patience: float | None = None) -> dict[str, Any]:
        """What becomes of a call.

        Raises:
            AgentClientError: it is refused, or MongoDB does not answer.
        """
        tries = self._tries(patience)
        try:
            return self._tried(lambda: self._once(call, tries), tries)
        except Unavailable as exc:
            exc.idempotency_key = key_of(call)
            raise

    def _tries(self, patience: float | None = None) -> Tries:
        return Tries(
            self.where, self.patience if patience is None else min(patience, self.patience)
        )

    def _tried(self, act: Callable[[], T], tries: Tries) -> T:
        while True:
            try:
                return act()
            except AgentError as exc:
                if not exc.retryable:
                    raise error_of(exc) from exc
                time.sleep(_pause(tries, exc))

    def _once(self, call: Call, tries: Tries) -> dict[str, Any]:
        match call:
            case Submit(body):
                submitted = self._submissions.submit(
                    read_request(_as_sent(body)), owner=OWNER, source=OWNER
                )
                return {"id": submitted.id, "existing": submitted.existing}
            case Show(kind, id):
                return self._show(kind, id)
            case Wait(kind, id, seconds):
                return self._wait(kind, id, seconds)
            case Change():
                return self._change(call, tries)

    def _show(self, kind: Kind, id: str) -> dict[str, Any]:
        document = self._find(kind, id)
        answer: dict[str, Any] = rendered(
            batch_answer(document, self.repository.now())
            if kind == "batches"
            else read_answer(self.repository, document)
        )
        return answer

    def _find(self, kind: Kind, id: str) -> Document:
        if kind == "batches":
            return self.repository.find_batch(id)
        return meant_by(id, self.repository.find_context)[1]

    def _wait(self, kind: Kind, id: str, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        pause = LOOK_SECONDS
        while meant_by(id, self.repository.find_status)[1] not in FINAL:
            left = end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(pause, left))
            pause = min(pause * 1.2, LONGEST_LOOK_SECONDS)
        return self._show(kind, id)

    def _change(self, call: Change, tries: Tries) -> dict[str, Any]:
        context_id = self._find(call.kind, call.id)["_id"]
        try:
            if call.verb == "cancel":
                self.repository.cancel(context_id)
            else:
                self.repository.retry(context_id, fresh_key=call.fresh_key)
        except IllegalTransition as exc:
            if not tries.maybe_done:
                raise
            return check_changed(call, self._show(call.kind, call.id), error_of(exc))
        return self._show(call.kind, call.id)

    def join(self, fields: Mapping[str, Any], session: ClientSession) -> dict[str, Any]:
        """Store a request as part of the transaction that the session is in. It is not tried again:
        that is for whoever began the transaction.

        Raises:
            AgentClientError: it cannot be part of one, or cannot become work.
        """
        body = body_of(fields)
        check_joinable(body, session, self.client)
        service = self._service.storing_in(Joined(self.repository, session))
        try:
            id = service.submit(read_request(_as_sent(body)), source=OWNER)
        except AgentError as exc:
            raise error_of(exc) from exc
        return {"id": id, "existing": False}

    # Batches

    def upload(self, upload: Upload) -> dict[str, Any]:
        """Store a batch.

        Raises:
            AgentClientError: it is refused, or MongoDB did not answer.
        """
        tries = self._tries()
        with Blocks(lines_of(upload.items)) as blocks:
            try:
                return self._tried(lambda: self._create(upload.body, blocks), tries)
            except Unavailable as exc:
                exc.idempotency_key = key_of(upload)
                raise

    def _create(self, body: Mapping[str, Any], blocks: Blocks) -> dict[str, Any]:
        batch = _read_batch(_as_sent(body))
        rows = read_rows(blocks, RowFormat.JSONL)
        answer: dict[str, Any] = created_answer(
            self._batches.create(batch, rows, owner=OWNER, source=OWNER)
        )
        return answer

    def items(self, id: str) -> Iterator[dict[str, Any]]:
        """The items of a batch, page by page.

        Raises:
            AgentClientError: there is none, or MongoDB did not answer.
        """
        try:
            batch = self.repository.find_batch(id)
            for lines in as_json_lines(self.repository.read_items(batch["_id"])):
                yield from map(json.loads, lines.splitlines())
        except AgentError as exc:
            raise error_of(exc) from exc

    # Events

    def events(self, kind: Kind, id: str) -> Iterator[Event]:
        """What becomes of one, until it is final; it is looked at every so often.

        Raises:
            AgentClientError: there is none, or MongoDB does not answer any more.
        """
        tries = self._tries()
        watching = self._tried(lambda: self._watching(kind, id), tries)
        while True:
            states = self._tried(lambda: self.repository.states_of(watching.ids), tries)
            tries.renew()
            yield from watching.news(states)
            if watching.is_over:
                return
            time.sleep(EVENTS_SECONDS)

    def _watching(self, kind: Kind, id: str) -> Watching:
        document = self._find(kind, id)
        children: list[Document] = []
        if is_parent(document) and document.get("steps"):
            children = self.repository.children_of(document["_id"], limit=MOST_STEPS)
        return Watching("batch" if kind == "batches" else "request", document, children)

    def close(self) -> None:
        """Let go of the connections."""
        self.repository.close()


def _read_batch(body: dict[str, Any]) -> Batch:
    """The batch that a body asks for.

    Raises:
        RequestInvalid: every problem is named.
    """
    mode = body.pop("mode")
    if mode not in list(Mode):
        raise RequestInvalid(f"`mode`: is none of {', '.join(Mode)}")
    return Batch.model_validate({**read_request(body).model_dump(exclude_unset=True), "mode": mode})


def _pause(tries: Tries, exc: AgentError) -> float:
    """How long to wait after this.

    Raises:
        Unavailable: there is no time left.
    """
    try:
        return tries.after_error(mask_secrets(str(exc)), sent=True)
    except Unavailable as last:
        raise last from exc


def _as_sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it comes by HTTP, so that both ways store the same."""
    sent: dict[str, Any] = json.loads(to_json(dict(body), "the request"))
    return sent


def error_of(exc: AgentError) -> AgentClientError:
    """The error of the client for one of ours, as HTTP would tell it."""
    detail = mask_secrets(str(exc))
    kind = next((kind for error, kind in OF_ERRORS if isinstance(exc, error)), None)
    if kind is None:
        return AgentClientError(detail)
    if exc.retryable:
        return Unavailable(detail, type=kind.type, title=kind.title, status=kind.status)
    return error_of_problem(
        {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail}
    )
