"""Requests and templates that hold anything that JSON can bring: each is stored, or refused in a
sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import RequestInvalid
from agent.intake.context_manager import ContextManager
from agent.intake.request_service import RequestService, read_request
from agent.intake.templates import TemplateSource, read_any
from agent.models import Context
from agent.store.mongo_context_repository import MongoContextRepository
from agent.words import visible
from tests.factories import a_template
from tests.strategies import JSON, ODD_BODIES, as_json, tried

INLINE = {"service_type": "GENERATIVE", "service_template": {"prompt": "Hi"}}
FIELDS = ["text", "purpose_id", "template_id", "template", "user_id", "data", "metadata",
          "priority", "available_at", "deadline_at", "tags", "max_attempts",
          "unheard_of"]  # fmt: skip
REQUESTS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3).flatmap(
    lambda fields: st.sampled_from([fields, {"template": INLINE, **fields}])
)
FREE = st.dictionaries(st.sampled_from(["data", "metadata"]), st.dictionaries(st.text(), JSON))
TEMPLATES = st.dictionaries(
    st.sampled_from(["id", "version", "service_type", "service_template", "generative_template",
                     "steps", "parameters", "theirs"]),
    JSON,
).map(lambda fields: {**a_template(), **fields})  # fmt: skip


@pytest.fixture
def service(repository: MongoContextRepository) -> RequestService:
    """The intake on a real server."""
    settings = repository.settings
    registry = settings.registry
    repository.store_template(a_template())
    templates = TemplateSource(repository, registry=registry)
    manager = ContextManager(repository, repository.now, registry, settings)
    return RequestService(manager, templates, registry)


def check_said(exc: RequestInvalid) -> None:
    """The refusal can be shown to people."""
    assert visible(str(exc)).strip()


@tried(150, thorough=5000)
@given(st.one_of(REQUESTS, JSON, FREE.map(lambda free: {"template": INLINE, **free})))
def test_any_request_is_stored_or_refused_in_a_sentence(
    service: RequestService, repository: MongoContextRepository, body: Any
) -> None:
    """What is stored is a whole context, and what was refused left nothing behind."""
    before = repository.contexts.estimated_document_count()
    try:
        context_id = service.submit(read_request(body))
    except RequestInvalid as exc:
        check_said(exc)
        assert repository.contexts.estimated_document_count() == before
        return
    context = Context.model_validate(repository.find_context(context_id))
    assert context.status in ("pending", "scheduled")
    assert context.request.data == body.get("data", {})


@tried(150, thorough=5000)
@given(st.one_of(TEMPLATES, st.dictionaries(st.text(max_size=5), JSON)))
def test_any_template_is_read_or_refused_in_a_sentence(
    service: RequestService, repository: MongoContextRepository, stored: dict[str, Any]
) -> None:
    """The same for those that another program stored."""
    try:
        read_any(stored, repository.settings.registry)
    except RequestInvalid as exc:
        check_said(exc)


FILES = st.one_of(
    ODD_BODIES,
    JSON.map(as_json),
    TEMPLATES.map(as_json),
    st.binary(max_size=50),
    st.just(as_json(a_template())),
)


@tried(60, thorough=2000)
@given(st.lists(FILES, min_size=1, max_size=4))
def test_a_folder_of_any_files_is_loaded_as_far_as_it_goes(
    repository: MongoContextRepository, tmp_path: Path, files: list[bytes]
) -> None:
    """A wrong file costs only itself, and its problem is told in a line."""
    for old in tmp_path.glob("*.json"):
        old.unlink()
    for number, content in enumerate(files):
        (tmp_path / f"{number}.json").write_bytes(content)
    (tmp_path / "good.json").write_bytes(as_json({**a_template(), "id": "good"}))
    source = TemplateSource(None, registry=repository.settings.registry)
    added = source.load_folder(tmp_path)
    assert len(added) + len(source.problems) == len(files) + 1
    assert source.find("good") is not None
