"""The web application, put together from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import redis
from fastapi import FastAPI

from agent.api.batches import batches_router
from agent.api.body_limit import BodyLimit
from agent.api.bulk import bulk_router
from agent.api.contexts import contexts_router
from agent.api.documentation import document_api
from agent.api.doors import Doors
from agent.api.events import BATCHES, REQUESTS, tell_nothing_new, waiting_router
from agent.api.health import Health, health_router
from agent.api.keys import read_keys
from agent.api.metrics import AgentCollector, metrics_router
from agent.api.problems import tell_problems
from agent.api.rate_limit import RateLimit
from agent.api.requests import requests_router
from agent.api.schedules import schedules_router
from agent.api.security import Gate
from agent.api.services import services_router
from agent.api.templates import purposes_router, templates_router
from agent.api.uploads import PATH as UPLOAD
from agent.api.uploads import uploads_router
from agent.dashboard.app import create_dashboard
from agent.dashboard.doorway import Doorway
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository


def create_app(
    settings: Settings, *, repository: MongoContextRepository, client: redis.Redis
) -> FastAPI:
    """The application. Neither server is asked before the first request.

    Raises:
        ConfigurationError: a key cannot be read, or a folder of templates is not there.
    """
    doors = Doors.of(settings, repository, client)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            async with doors.hub.running(), doors.nudges.running():
                yield
        finally:
            await anyio.to_thread.run_sync(doors.bell.close)

    app = FastAPI(title="agent", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.doors = doors
    tell_problems(app)
    tell_nothing_new(app)
    app.include_router(health_router(Health(repository, client)))
    collector = AgentCollector(repository, client, settings.namespace, settings.registry)
    app.include_router(metrics_router(collector))
    app.include_router(requests_router(doors))
    app.include_router(waiting_router(doors, REQUESTS))
    app.include_router(uploads_router(doors))
    app.include_router(batches_router(doors))
    app.include_router(waiting_router(doors, BATCHES))
    for router in (schedules_router, bulk_router, contexts_router, services_router,
                   templates_router, purposes_router):  # fmt: skip
        app.include_router(router(doors))
    document_api(app)
    app.add_middleware(Doorway, dashboard=create_dashboard(settings, doors))
    app.add_middleware(BodyLimit, others={UPLOAD: settings.max_upload_bytes})
    app.add_middleware(
        Gate, keys=read_keys(settings), limit=RateLimit(settings.api_rate_limit),
        is_open=settings.env == "development",
    )  # fmt: skip
    return app
