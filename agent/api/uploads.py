"""`POST /v1/batches` and `/v1/batches/upload`: batches, from a list or from rows as they come in.

The rows of an upload are read in a thread of its own kind, block by block: none is held that is
not needed, whoever sends slowly takes no thread that others need, and whoever sends faster than
MongoDB stores is slowed down.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from agent.api import problem_kinds as kinds
from agent.api.batch_answers import created_answer
from agent.api.batch_shapes import BatchAccepted
from agent.api.bodies import no_foreign_numbers
from agent.api.doors import Doors
from agent.api.problems import Problem, documented
from agent.api.rendering import reply
from agent.api.requests import IdempotencyKey, with_key
from agent.api.security import Submitter
from agent.api.selecting import Word
from agent.errors import RequestInvalid
from agent.intake.batch import Batch, Mode, rows_of
from agent.intake.batches import Created
from agent.intake.request import Date, Key, Retention
from agent.intake.rows import RowFormat, read_rows
from agent.intake.rules import MAX_ATTEMPTS
from agent.models import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
from agent.projections.doorbell import BATCHES
from agent.webhooks import MAX_URL

PATH = "/v1/batches/upload"
MOST_UPLOADS = 8
"""At once in one process: each holds a thread, and the rows of one chunk."""
IDLE_SECONDS = 30.0
"""Who sends nothing for so long has gone."""
BUSY_SECONDS = 10
"""After which it makes sense to ask again."""

FORMATS = {
    "text/csv": RowFormat.CSV,
    "application/x-ndjson": RowFormat.JSONL,
    "application/jsonl": RowFormat.JSONL,
}
JSON = "application/json"
EXAMPLES: list[JsonValue] = [
    {
        "template_id": "greeting",
        "items": [{"user_id": "user:1", "name": "Ann"}, {"user_id": "user:2", "name": "Ben"}],
    }
]
ROWS = {
    "text/csv": "name,user_id\r\nAnn,user:1\r\nBen,user:2\r\n",
    "application/x-ndjson": '{"user_id": "user:1", "name": "Ann"}\n',
}


class NewBatch(Batch):
    """A request over many items: each is the `data` of its own, over what all have in common; its
    `user_id` is also that of its request. With `mode` `whole` all are the `data.items` of one."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    items: list[Any] = Field(min_length=1)

    _no_foreign_numbers = model_validator(mode="before")(no_foreign_numbers)


Text = Annotated[str, Field(max_length=16_000)]
JsonText = Annotated[str, Field(max_length=16_000, description="As JSON.")]
IN_JSON = ("template", "data", "metadata", "tags")


class UploadQuery(BaseModel):
    """What all rows have in common: the fields of a request."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode = Mode.EACH
    template_id: Word | None = Field(default=None, examples=["greeting"])
    template_version: Word | None = None
    template: JsonText | None = None
    purpose_id: Word | None = None
    text: Text | None = None
    user_id: Word | None = None
    data: JsonText | None = None
    metadata: JsonText | None = None
    tags: JsonText | None = None
    priority: int = Field(default=DEFAULT_PRIORITY, ge=HIGHEST_PRIORITY, le=LOWEST_PRIORITY)
    available_at: Date | None = None
    deadline_at: Date | None = None
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS)
    unique_key: Key | None = None
    retention: Retention | None = None
    callback_url: str | None = Field(default=None, min_length=1, max_length=MAX_URL)

    def batch(self) -> Batch:
        """The batch, but for its rows.

        Raises:
            RequestInvalid: what should be JSON is none.
            RequestValidationError: a field is of the wrong kind.
        """
        said = self.model_dump(exclude_unset=True)
        for name in IN_JSON:
            if said.get(name) is not None:
                said[name] = _parsed(name, said[name])
        try:
            return Batch.model_validate(said)
        except ValidationError as exc:
            raise _told(exc, "query") from None


def uploads_router(doors: Doors) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/batches", tags=["batches"])
    room = anyio.CapacityLimiter(MOST_UPLOADS)
    accepted: dict[int | str, dict[str, Any]] = {
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **documented(
            kinds.IN_PROGRESS, kinds.REFUSED, kinds.KEY_REUSED, kinds.TOO_LARGE, kinds.MEDIA_TYPE,
        ),
    }  # fmt: skip

    def told(created: Created) -> Response:
        doors.bell.ring(BATCHES)
        location = f"/v1/batches/{created.id}"
        return reply(created_answer(created), 202, {"Location": location})

    @router.post(
        "",
        status_code=202,
        response_model=BatchAccepted,
        responses=accepted,
        openapi_extra={"requestBody": _content({JSON: _reference(NewBatch)})},
    )
    async def create(
        request: Request, caller: Submitter, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Store a batch of items that are sent as a list. More than 16 MB of them are uploaded.
        Scope `submit`."""
        if _media_type(request) != JSON:
            raise Problem(kinds.MEDIA_TYPE, f"send {JSON}")
        with _whole():
            content = await request.body()

        def store() -> Response:  # a long list is read in a thread, beside what others ask
            body = with_key(_read(content), idempotency_key)
            batch = Batch.model_validate(body.model_dump(exclude_unset=True, exclude={"items"}))
            return told(doors.batches.create(batch, rows_of(body.items), owner=caller.name))

        return await run_in_threadpool(store)

    @router.post(
        "/upload",
        status_code=202,
        response_model=BatchAccepted,
        responses={**accepted, **documented(
            kinds.IN_PROGRESS, kinds.REFUSED, kinds.KEY_REUSED, kinds.TOO_LARGE, kinds.MEDIA_TYPE,
            kinds.STALLED,
        )},
        openapi_extra={"requestBody": _content(
            {name: {"schema": {"type": "string", "format": "binary"}, "example": example}
             for name, example in ROWS.items()}
        )},
    )  # fmt: skip
    async def upload(
        request: Request,
        caller: Submitter,
        asked: Annotated[UploadQuery, Query()],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Store a batch of rows: CSV whose first line names the columns, or an object of JSON in
        each line, in UTF-8. Scope `submit`."""
        format = FORMATS.get(_media_type(request))
        if format is None:
            raise Problem(kinds.MEDIA_TYPE, f"send {' or '.join(ROWS)}")
        batch = with_key(asked.batch(), idempotency_key)
        if room.borrowed_tokens >= MOST_UPLOADS:
            headers = {"Retry-After": str(BUSY_SECONDS)}
            raise Problem(kinds.UNAVAILABLE, f"{MOST_UPLOADS} upload just now", headers=headers)

        def store() -> Created:
            rows = read_rows(_blocks(request.stream()), format)
            return doors.batches.create(batch, rows, owner=caller.name)

        with _whole():
            return told(await anyio.to_thread.run_sync(store, limiter=room))

    return router


@contextmanager
def _whole() -> Iterator[None]:
    """Whoever goes away before the end of a body has sent none; it is no bug of ours."""
    try:
        yield
    except ClientDisconnect:
        raise Problem(kinds.INVALID, "the body was cut off; nothing is stored") from None


def _blocks(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The blocks of a body, for a thread: each is received when the one before has been used.

    Raises:
        Problem: none came for a while.
        ClientDisconnect: the connection is gone.
        HTTPException: the body is larger than is taken.
    """

    async def following() -> bytes | None:
        try:
            with anyio.fail_after(IDLE_SECONDS):
                return await anext(stream, None)
        except TimeoutError:
            raise Problem(kinds.STALLED, f"nothing came for {IDLE_SECONDS:g} s") from None

    while (block := anyio.from_thread.run(following)) is not None:
        yield block


def _read(content: bytes) -> NewBatch:
    try:
        return NewBatch.model_validate_json(content)
    except ValidationError as exc:
        raise _told(exc, "body") from None


def _told(exc: ValidationError, where: str) -> RequestValidationError:
    found = exc.errors(include_url=False, include_input=False)
    return RequestValidationError([{**each, "loc": (where, *each["loc"])} for each in found])


def _parsed(name: str, text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as exc:
        raise RequestInvalid(f"`{name}` is no JSON: {exc}") from None


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content(types: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": types}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
