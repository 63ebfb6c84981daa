"""`/v1/services`: what each has to do, and whether it is paused."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from agent.admission.surroundings import calls_in_flight, living_workers
from agent.api import problem_kinds as kinds
from agent.api.bodies import Body
from agent.api.doors import Doors
from agent.api.problems import documented
from agent.api.rendering import reply
from agent.api.security import Operator, Reader
from agent.api.shapes import ServiceAnswer, ServiceList
from agent.intake.request import Date
from agent.models import Document
from agent.projections.presence import threads_by_service
from agent.services import ServiceType
from agent.store.services import OPERATOR, Pause

ServiceName = Annotated[str, Path(description="In any case of letters.", examples=["GENERATIVE"])]


class PauseBody(Body):
    """Why a service is to get no calls, and until when."""

    reason: str = Field(min_length=1, max_length=500, examples=["a new key comes at noon"])
    until: Date | None = Field(default=None, description="Null: until it is resumed.")


def services_router(doors: Doors) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/services", tags=["services"])
    repository = doors.repository

    @router.get("", response_model=ServiceList, responses=documented())
    def services(_caller: Reader) -> Response:
        """All service types: their limits, what waits, who works. Scope `read`."""
        return reply({"items": _answers(doors, list(doors.settings.registry.values()))})

    @router.get("/{name}", response_model=ServiceAnswer, responses=documented(kinds.NOT_FOUND))
    def service(_caller: Reader, name: ServiceName) -> Response:
        """One service type. Scope `read`."""
        return reply(_answers(doors, [doors.service(name)])[0])

    @router.post(
        "/{name}/pause",
        response_model=ServiceAnswer,
        responses=documented(kinds.NOT_FOUND, kinds.REFUSED),
    )
    def pause(caller: Operator, name: ServiceName, body: PauseBody) -> Response:
        """Give a service no more calls. Its contexts wait; none fails or loses an attempt. Scope
        `operate`."""
        found = doors.service(name)
        reason = f"{body.reason} ({caller.name})"
        repository.pause_service(found.name, by=OPERATOR, reason=reason, until=body.until)
        doors.bell.ring()
        return reply(_answers(doors, [found])[0])

    @router.post(
        "/{name}/resume", response_model=ServiceAnswer, responses=documented(kinds.NOT_FOUND)
    )
    def resume(_caller: Operator, name: ServiceName) -> Response:
        """End a pause at once, whoever made it. Scope `operate`."""
        found = doors.service(name)
        repository.resume_service(found.name)
        doors.bell.ring()
        return reply(_answers(doors, [found])[0])

    return router


def _answers(doors: Doors, services: list[ServiceType]) -> list[Document]:
    repository = doors.repository
    states, counts = repository.service_states(), repository.count_by_status()
    calls, workers = calls_in_flight(repository), living_workers(doors.client, doors.settings)
    threads = {} if workers is None else threads_by_service(workers)
    answers = []
    for service in services:
        limits, state = doors.settings.service(service), states.get(service.name)
        serving = [
            each
            for each in workers or []
            if service.name in each.service_types and not each.draining
        ]
        answers.append(
            {
                "name": service.name,
                "pause": _pause(state.pause) if state is not None and state.pause else None,
                "counts": counts.get(service.name, {}),
                "in_flight": calls[service.name],
                "max_in_flight": limits.max_in_flight,
                "max_attempts": limits.max_attempts,
                "timeout_seconds": limits.timeout,
                "on_ambiguous": str(limits.on_ambiguous),
                "workers": None if workers is None else len(serving),
                "threads": None if workers is None else threads.get(service.name, 0),
            }
        )
    return answers


def _pause(pause: Pause) -> Document:
    return {
        "by": pause.by, "reason": pause.reason, "since": pause.since, "until": pause.until,
    }  # fmt: skip
