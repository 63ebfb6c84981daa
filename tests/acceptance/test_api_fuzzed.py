"""Every route of the API, asked everything that its own OpenAPI document allows, and much that it
does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pymongo import MongoClient
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from agent.api.app import create_app
from agent.api.documentation import openapi_of
from agent.models import Document
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.web import Web, running_web, secret_of
from tests.conftest import ROOT

EXAMPLES = 15
"""Of each kind for each route: about forty seconds in all."""
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip


def the_document() -> dict[str, Any]:
    """The project's own OpenAPI document; no server is asked for it."""
    repository = MongoContextRepository.connect(Settings())
    return openapi_of(create_app(Settings(), repository=repository, client=redis.Redis()))


@pytest.fixture(scope="module")
def web(
    mongodb_uri: str,
    redis_url: str,
    mongodb_client: MongoClient[Document],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Web]:
    """One `web` for all routes, with a place of its own in both servers."""
    name = f"test_{uuid4().hex[:16]}"
    environment = {
        "MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "MONGODB_DATABASE": name,
        "AGENT_NAMESPACE": name.replace("test_", "t"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with running_web(environment, tmp_path_factory.mktemp("web")) as web:
        yield web
    mongodb_client.drop_database(name)


OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_dict(the_document()).get_all_operations()
]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: str(each.label))
def test_whatever_is_asked_is_answered_as_documented(
    web: Web, operation: Any, mode: GenerationMode
) -> None:
    """No 5xx, no status, media type or body that the document does not have; and what the document
    forbids is refused."""
    rejects = [negative_data_rejection] if mode is GenerationMode.NEGATIVE else []

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(
            base_url=web.url, headers=secret_of("boss"), checks=CHECKS + rejects, timeout=40
        )

    ask()
