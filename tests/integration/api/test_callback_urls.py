"""A `callback_url` is taken where its host is on the list, and refused in words elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from agent.api import problem_kinds as kinds
from agent.errors import RequestInvalid
from agent.intake.batch import Batch, rows_of
from agent.intake.batches import Batches
from agent.intake.request_service import RequestService, read_request
from agent.intake.schedules import Schedules, read_schedule
from agent.intake.templates import TemplateSource
from agent.models import Document
from agent.settings import Settings
from agent.store.mongo_context_repository import MongoContextRepository
from tests.acceptance.web import BODY
from tests.integration.api.conftest import TestClient
from tests.receiver import SECRET

ALLOWED = "https://hooks.example/agent?for=ann"
EVIL = "https://evil.example/agent"
REFUSED = {
    EVIL: "evil.example:443 is no host of AGENT_WEBHOOK_HOSTS",
    "https://hooks.example:8443/agent": "hooks.example:8443 is no host",
    "http://hooks.example/agent": "must be an https:// URL",
    "https://ann:secret@hooks.example/": "without a user",
    "hooks.example": "must be https://host/path",
}
TWO_STEPS: Document = {
    "template": {
        "steps": [
            {"key": "draft", "service_type": "GENERATIVE", "service_template": {}},
            {"key": "score", "service_type": "ANALYSIS", "service_template": {},
             "after": ["draft"]},
        ]
    }
}  # fmt: skip


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One host may be called back."""
    return settings.model_copy(
        update={"webhook_hosts": ("hooks.example",), "webhook_secret": SecretStr(SECRET)}
    )


@pytest.fixture
def service(repository: MongoContextRepository) -> RequestService:
    templates = TemplateSource.of(repository, repository.settings)
    return RequestService.of(repository, templates, repository.settings)


@pytest.mark.parametrize("body", [BODY, TWO_STEPS], ids=["one step", "two steps"])
def test_a_url_on_the_list_is_kept_with_the_request(
    boss: TestClient, repository: MongoContextRepository, body: Document
) -> None:
    """On the one document that stands for the whole, and on no step."""
    posted = boss.post("/v1/requests", json={**body, "callback_url": ALLOWED})
    assert posted.status_code == 202, posted.text
    kept = [*repository.contexts.find({"callback_url": {"$exists": True}})]
    assert [each["_id"] for each in kept] == [posted.json()["id"]]
    assert (kept[0]["callback_url"], kept[0]["callbacks"]) == (ALLOWED, {"ends": 0})


@pytest.mark.parametrize("url", REFUSED)
def test_any_other_is_refused_by_the_api(
    boss: TestClient, repository: MongoContextRepository, url: str
) -> None:
    """Nothing is stored, and the problem says which field and which setting."""
    posted = boss.post("/v1/requests", json={**BODY, "callback_url": url})
    assert posted.status_code == 422
    assert posted.json()["type"].endswith(kinds.REFUSED.name)
    assert "`callback_url`: " in posted.json()["detail"]
    assert REFUSED[url] in posted.json()["detail"]
    assert repository.contexts.count_documents({}) == 0


@pytest.mark.parametrize("value", [{"$gt": ""}, 7, "", "https://hooks.example/" + "a" * 3000])
def test_what_is_no_text_of_a_url_is_a_plain_422(boss: TestClient, value: Any) -> None:
    """Whatever stands there."""
    posted = boss.post("/v1/requests", json={**BODY, "callback_url": value})
    assert posted.status_code == 422


def test_a_schedule_is_refused_when_it_is_added(
    repository: MongoContextRepository, service: RequestService
) -> None:
    """Not at each of its due times."""
    schedule = {"name": "n", "every_seconds": 60.0}
    schedules = Schedules(repository, service)
    refused = read_schedule({**schedule, "request": {**BODY, "callback_url": EVIL}})
    with pytest.raises(RequestInvalid, match="no host of AGENT_WEBHOOK_HOSTS"):
        schedules.add(refused)
    schedules.add(read_schedule({**schedule, "request": {**BODY, "callback_url": ALLOWED}}))
    context_id = schedules.run_now("n")
    assert repository.find_context(context_id)["callback_url"] == ALLOWED


def test_a_batch_is_called_back_for_as_a_whole(
    repository: MongoContextRepository, service: RequestService
) -> None:
    """Its parent carries the URL; a wrong one is refused before any row is kept."""
    batches = Batches(repository, service)
    rows = rows_of([{"name": "Ann"}, {"name": "Ben"}])
    refused = Batch.model_validate({**BODY, "callback_url": EVIL})
    with pytest.raises(RequestInvalid, match="no host of AGENT_WEBHOOK_HOSTS"):
        batches.create(refused, rows, owner="a")
    assert repository.database["uploads"].count_documents({}) == 0
    created = batches.create(
        Batch.model_validate({**BODY, "callback_url": ALLOWED}), rows, owner="a"
    )
    parent = repository.find_context(created.id)
    assert (parent["callback_url"], parent["callbacks"]) == (ALLOWED, {"ends": 0})


def test_without_hosts_every_callback_is_refused(repository: MongoContextRepository) -> None:
    """The message names the setting."""
    without = repository.settings.model_copy(update={"webhook_hosts": ()})
    service = RequestService.of(repository, TemplateSource.of(repository, without), without)
    with pytest.raises(RequestInvalid, match=r"`callback_url`: .* AGENT_WEBHOOK_HOSTS names no"):
        service.check(read_request({**BODY, "callback_url": ALLOWED}))
