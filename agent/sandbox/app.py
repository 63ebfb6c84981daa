"""The HTTP surface of one Base service: work calls, status polls, health, and its fault switch."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from agent.sandbox.accepted import STATUS_PATH
from agent.sandbox.faults import NO_FAULT, parse_fault
from agent.sandbox.incoming import CallerGone, parse_json, read_headers, read_json
from agent.sandbox.record import CallRecord
from agent.sandbox.replies import Refused, Reply, json_reply
from agent.sandbox.sending import send_reply
from agent.sandbox.service import HANG_UP, BaseService

Endpoint = Callable[[Request], Awaitable[Response]]


class RecordedEndpoint:
    """Work calls and status polls: answered, sent, and taken down.

    Plain ASGI, because a fault decides over single bytes and over the connection.
    """

    def __init__(self, service: BaseService) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = read_headers(scope)
        call = CallRecord(datetime.now(UTC), scope["path"], headers, headers.request_id)
        try:
            reply = await self._reply(scope, receive, call)
        except Refused as refused:
            reply = refused.reply
        except RecursionError:
            reply = Refused(422, "the body is nested too deeply").reply
        except CallerGone:
            return
        try:
            call.reply_sha256 = await send_reply(reply, scope, receive, send)
        finally:
            call.status = None if reply.hang_up else reply.status
            call.delivered = reply.delivered
            self._service.calls.add(call)

    async def _reply(self, scope: Scope, receive: Receive, call: CallRecord) -> Reply:
        service = self._service
        if service.fault.down:
            return HANG_UP
        service.authorize(call.headers)
        if scope["method"] != "POST":
            return await service.status(call.path, scope["path_params"]["work_id"])
        body = await read_json(receive)
        if call.request_id is None and isinstance(body, dict):
            claimed = body.get("request_id")
            call.request_id = claimed if isinstance(claimed, str | int) else None
        return await service.answer(call.path, body, call.headers)


def create_app(service: BaseService) -> Router:
    """The routes of one service."""
    recorded = RecordedEndpoint(service)
    works = [Route(path, recorded, methods=["POST"]) for path in service.jobs]
    poll = Route(f"{STATUS_PATH}{{work_id}}", recorded, methods=["GET"])
    health = Route("/health", _health(service))
    return Router([*works, poll, health, *_switches(service)], redirect_slashes=False)


def _health(service: BaseService) -> Endpoint:
    body = json.dumps({"status": "ok", "service": service.service_type})

    async def health(request: Request) -> Response:
        return Response(body, media_type="application/json")

    return health


def _switches(service: BaseService) -> list[Route]:
    """What a test turns and reads: the service-wide fault, and the record of calls."""

    async def put_fault(request: Request) -> Response:
        fault = parse_fault(parse_json(await request.body()), service_wide=True)
        service.set_fault(fault)
        return _response(json_reply({"success": True}))

    async def delete_fault(request: Request) -> Response:
        service.set_fault(NO_FAULT)
        return _response(json_reply({"success": True}))

    async def get_calls(request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) < 19):
            raise Refused(422, "since must be a whole number")
        return _response(Reply(200, service.calls.since(int(since))))

    return [
        Route("/sandbox/fault", _guarded(service, put_fault), methods=["PUT"]),
        Route("/sandbox/fault", _guarded(service, delete_fault), methods=["DELETE"]),
        Route("/sandbox/calls", _guarded(service, get_calls)),
    ]


def _guarded(service: BaseService, endpoint: Endpoint) -> Endpoint:
    """The endpoint behind the bearer key, its refusals turned into replies."""

    async def guarded(request: Request) -> Response:
        try:
            service.authorize(read_headers(request.scope))
            return await endpoint(request)
        except Refused as refused:
            return _response(refused.reply)

    return guarded


def _response(reply: Reply) -> Response:
    response = Response(reply.body, reply.status, media_type="application/json")
    response.raw_headers.extend(reply.headers)
    return response
