"""How long what is final is kept: by settings, service, request, and whose it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.int64 import Int64

from agent.errors import ConfigurationError
from agent.models import FINAL, AttemptRecord, Status
from agent.settings import Settings, load_settings
from agent.store import changes
from agent.store.changes import Hold
from agent.store.retention import FOR_EVER, Retention, retention_fields
from tests.factories import a_context, foreign

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
COMPLETED, FAILED, CANCELLED = Status.COMPLETED, Status.FAILED, Status.CANCELLED
BY_DEFAULT = Retention.of(Settings())


@pytest.mark.parametrize(
    ("status", "expected"), [(COMPLETED, 30 * DAY), (FAILED, None), (CANCELLED, 30 * DAY)]
)
def test_what_failed_is_kept_for_people(status: Status, expected: timedelta | None) -> None:
    """The rest for a month, of any service, also of one that is not known any more."""
    for service_type in ("GENERATIVE", "GONE"):
        assert BY_DEFAULT.of_end(a_context(service_type=service_type), status) == expected


def test_a_service_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it says nothing, what is said for all counts."""
    monkeypatch.setenv("AGENT_RETENTION_FAILED", "90d")
    monkeypatch.setenv("ANALYSIS_BASE_RETENTION_COMPLETED", "never")
    retention = Retention.of(load_settings())
    analysis, generative = a_context(service_type="ANALYSIS"), a_context()
    assert [retention.of_end(analysis, each) for each in (COMPLETED, FAILED)] == [None, 90 * DAY]
    assert retention.of_end(generative, COMPLETED) == 30 * DAY


@pytest.mark.parametrize("name", ["AGENT_RETENTION_FAILED", "ANALYSIS_BASE_RETENTION_FAILED"])
def test_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """At the start, by its name."""
    monkeypatch.setenv(name, "a month")
    with pytest.raises(ConfigurationError, match=f"{name}: must be a duration such as"):
        load_settings()


@pytest.mark.parametrize("status", sorted(FINAL))
@pytest.mark.parametrize(("asked", "expected"), [(DAY, DAY), ("never", None)])
def test_a_request_may_say_for_itself(status: Status, asked: Any, expected: Any) -> None:
    """However it ends; read back from MongoDB it is a number of another class."""
    fields = retention_fields(asked)
    if fields["retention_seconds"] is not None:
        fields["retention_seconds"] = Int64(fields["retention_seconds"])
    assert BY_DEFAULT.of_end({**a_context(), **fields}, status) == expected
    assert retention_fields(None) == {}


@pytest.mark.parametrize("odd", ["1d", True, -1, float("nan"), float("inf"), 10**12, [1], {}])
def test_what_cannot_be_read_does_not_count(odd: object) -> None:
    """Another program has written over it."""
    assert BY_DEFAULT.of_end({**a_context(), "retention_seconds": odd}, COMPLETED) == 30 * DAY


@pytest.mark.parametrize("status", sorted(FINAL))
@pytest.mark.parametrize(
    "document", [foreign(), {**a_context(), "source": "foreign"}], ids=["not adopted", "adopted"]
)
def test_what_another_program_inserted_is_kept(document: dict[str, Any], status: Status) -> None:
    """Whatever it says itself, unless the settings say otherwise."""
    assert BY_DEFAULT.of_end({**document, "retention_seconds": 60}, status) is None
    retention = Retention.of(Settings(retention_adopted=True, retention_failed="30d"))
    assert retention.of_end(document, status) == 30 * DAY


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_part_goes_with_its_whole(status: Status) -> None:
    """By itself it is never deleted, whatever it says."""
    child = {**a_context(parent_id="ctx_0"), "retention_seconds": 60}
    assert BY_DEFAULT.of_end(child, status) is None


def test_the_write_of_an_end_has_the_date() -> None:
    """And no other write; what is kept for ever has none."""
    hold, attempt = Hold("ctx_1", 3, "t"), AttemptRecord(number=1, outcome="completed")
    end = changes.complete(NOW, hold, results={}, attempt=attempt)
    kept = BY_DEFAULT.kept(a_context(), end, NOW)
    assert kept.update["$set"] == {**end.update["$set"], "expire_at": NOW + 30 * DAY}
    assert (kept.filter, kept.update["$unset"]) == (end.filter, end.update["$unset"])
    release = changes.release(NOW, hold)
    assert BY_DEFAULT.kept(a_context(), release, NOW) == release
    assert FOR_EVER.kept(a_context(), end, NOW) == end


def test_a_retry_takes_the_date_away() -> None:
    """It is not to be deleted while it runs."""
    document = a_context(status="failed", expire_at=NOW)
    assert "expire_at" in changes.retry(NOW, document, fresh_key=False).update["$unset"]
