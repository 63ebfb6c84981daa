"""`/v1/requests`: ask for something, and see what becomes of it."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Path, Response
from pydantic import ConfigDict, JsonValue, model_validator

from agent import answers
from agent.api import problem_kinds as kinds
from agent.api.bodies import KeyChoice, no_foreign_numbers
from agent.api.doors import Doors
from agent.api.problems import documented
from agent.api.rendering import reply
from agent.api.security import Operator, Reader, Submitter
from agent.api.shapes import AN_ID, Accepted, RequestAnswer
from agent.errors import RequestInvalid
from agent.intake.request_service import Request
from agent.models import Document

MOST_RESULTS = answers.MOST_RESULTS

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Of this submission: sent again with the same body within 24 hours it "
        "brings the same answer, and makes nothing new.",
    ),
]
RequestId = Annotated[str, Path(description="As it was answered.", examples=[AN_ID])]
EXAMPLES: list[JsonValue] = [
    {"template_id": "greeting", "user_id": "user:42", "data": {"name": "Ann"}},
    {
        "template": {"service_type": "GENERATIVE", "service_template": {"prompt": "Greet Ann"}},
        "priority": 3,
        "unique_key": "greet-ann",
    },
]


_Body = TypeVar("_Body", bound=Request)


class NewRequest(Request):
    """What is asked for: a template that is named or comes along, or a purpose that has one."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    _no_foreign_numbers = model_validator(mode="before")(no_foreign_numbers)


def answer_of(doors: Doors, document: Document) -> Document:
    """What has become of a request, with its steps and what they brought."""
    return answers.read_answer(doors.repository, document)


def requests_router(doors: Doors) -> APIRouter:
    """The routes that answer at once."""
    router = APIRouter(prefix="/v1/requests", tags=["requests"])
    repository = doors.repository

    @router.post(
        "",
        status_code=202,
        response_model=Accepted,
        responses={
            202: {"headers": {"Location": {"schema": {"type": "string"}}}},
            **documented(
                kinds.IN_PROGRESS, kinds.REFUSED, kinds.KEY_REUSED, kinds.TOO_LARGE,
            ),
        },
    )  # fmt: skip
    def submit(
        caller: Submitter,
        body: NewRequest,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Store a request. It is carried out by and by; 202 means that it is stored.

        Scope `submit`."""
        request: Request = with_key(body, idempotency_key)
        submitted = doors.submissions.submit(request, owner=caller.name)
        doors.bell.ring()
        answer = {"id": submitted.id, "existing": submitted.existing}
        return reply(answer, 202, {"Location": f"/v1/requests/{submitted.id}"})

    @router.get(
        "/{request_id}", response_model=RequestAnswer, responses=documented(kinds.NOT_FOUND)
    )
    def show(_caller: Reader, request_id: RequestId) -> Response:
        """What has become of a request. Scope `read`."""
        return reply(answer_of(doors, doors.find(request_id)))

    @router.post(
        "/{request_id}/cancel",
        response_model=RequestAnswer,
        responses=documented(kinds.NOT_FOUND, kinds.CONFLICT),
    )
    def cancel(_caller: Operator, request_id: RequestId) -> Response:
        """Cancel a request, with all of its steps. Scope `operate`."""
        document = repository.cancel(doors.id_of(request_id))
        doors.bell.ring("settle")
        return reply(answer_of(doors, document))

    @router.post(
        "/{request_id}/retry",
        response_model=RequestAnswer,
        responses=documented(kinds.NOT_FOUND, kinds.CONFLICT, kinds.REFUSED),
    )
    def retry(_caller: Operator, request_id: RequestId, body: KeyChoice | None = None) -> Response:
        """Begin anew what failed or was cancelled of a request. Scope `operate`."""
        fresh = body.fresh_key if body is not None else None
        document = repository.retry(doors.id_of(request_id), fresh_key=fresh)
        doors.bell.ring("foreign")
        doors.bell.ring("settle")
        return reply(answer_of(doors, document))

    return router


def with_key(body: _Body, header: str | None) -> _Body:
    """The request with the key of its header.

    Raises:
        RequestInvalid: the body names another one.
    """
    if header is None or header == body.idempotency_key:
        return body
    if body.idempotency_key is not None:
        raise RequestInvalid("`Idempotency-Key` and `idempotency_key` are not the same")
    return body.model_copy(update={"idempotency_key": header})
