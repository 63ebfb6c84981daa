"""The web application, put together from its parts."""

from __future__ import annotations

from typing import Protocol

import redis
from fastapi import FastAPI

from agent.api.health import Health, HealthSource, health_router
from agent.api.metrics import AgentCollector, MetricsSource, metrics_router
from agent.settings import Settings


class Repository(HealthSource, MetricsSource, Protocol):
    """What the web application asks of the repository."""


def create_app(settings: Settings, *, repository: Repository, client: redis.Redis) -> FastAPI:
    """The application. Neither server is asked before the first request."""
    app = FastAPI(title="agent", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(Health(repository, client)))
    collector = AgentCollector(repository, client, settings.namespace, settings.registry)
    app.include_router(metrics_router(collector))
    return app
