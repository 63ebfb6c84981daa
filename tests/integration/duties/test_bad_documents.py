"""Documents that hold anything at all, on real servers: each ends, with a reason where it fails,
and none of them holds up the bridge or its neighbours."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.admission.surroundings import surroundings
from agent.admission.why import why
from agent.cli import listing, show
from agent.cli.opened import Opened
from agent.cli.output import say_json
from agent.models import FINAL, IN_FLIGHT, Document
from agent.settings import Settings
from agent.workers import carrier
from tests.factories import LONG_AGO, a_context, a_lease, a_template, foreign
from tests.integration.duties.documents import CLAIMED, FOREIGN
from tests.integration.duties.installation import Installation
from tests.moved_clock import MovedClock, connect_by
from tests.raw_bson import OBJECT, Element, Fields, element, fields_of, nested, raw_document
from tests.strategies import tried

MOST_NIGHTS = 10
DEEP = bson.decode(raw_document([("deep", nested(95))]))["deep"]


@pytest.fixture
def installation(
    bridge_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """Contexts of many crashes run in this process: what is bad here is the document."""
    monkeypatch.setattr(carrier, "QUARANTINE_AFTER", 10**9)
    clock = MovedClock()
    with contextlib.closing(connect_by(clock, bridge_settings)) as repository:
        repository.create_indexes()
        repository.store_template(a_template())
        with contextlib.closing(Installation(bridge_settings, repository, clock)) as found:
            yield found


# What has to hold


def begin(installation: Installation, bad: list[Fields]) -> tuple[dict[str, str], dict[str, bytes]]:
    """Bad documents, stored among good neighbours; how these end, and how those are stored."""
    installation.clear()
    ends = installation.insert_neighbours()
    named = {f"bad {number}": fields for number, fields in enumerate(bad)}
    stored = [
        name
        for name, fields in named.items()
        if installation.insert(raw_document([("_id", element(name)), *fields]))
    ]
    assume(stored)
    raw = installation.raw()
    return ends, {name: raw[name] for name in stored}


def live(installation: Installation, ends: dict[str, str], *, looks: bool = True) -> None:
    """Days and nights, until all has ended that will; people look each day."""
    for _ in range(MOST_NIGHTS):
        installation.round()
        if looks:
            look_at_all(installation)
        installation.night()
        if not list(unfinished(installation)):
            break
    found = {each: installation.repository.find_context(each)["status"] for each in ends}
    assert found == ends
    assert list(unfinished(installation)) == []


def unfinished(installation: Installation) -> Iterator[Document]:
    """What is neither final, with a reason if it failed, nor rightly waiting for its time."""
    now = installation.repository.now()
    for document in map(installation.repository.find_context, installation.raw()):
        status, lease = document.get("status"), document.get("lease")
        if status in FINAL:
            error = document.get("error")
            if status == "failed" and not (isinstance(error, dict) and error.get("message")):
                yield document
            continue
        waits = document.get("available_at") if status not in IN_FLIGHT else None
        leased = lease.get("expires_at") if isinstance(lease, dict) else None
        known = document.get("service_type") in installation.repository.settings.registry
        unheard_of = isinstance(document.get("service_type"), str) and not known
        if not (lies_ahead(waits, now) or lies_ahead(leased, now) or unheard_of):
            yield document


def lies_ahead(value: Any, now: datetime) -> bool:
    if isinstance(value, DatetimeMS):
        return int(value) > now.timestamp() * 1000
    return isinstance(value, datetime) and value > now


def look_at_all(installation: Installation) -> None:
    """Everything that people ask has an answer."""
    repository = installation.repository
    found = Opened(repository.settings, repository)
    found._client = installation.stage.client  # the one that is there
    documents = repository.list_contexts(limit=1000)
    with contextlib.redirect_stdout(io.StringIO()):
        listing._print(documents, repository.now())
        say_json(documents)
        for context_id in (each["_id"] for each in documents if each["_id"].startswith("bad")):
            document = repository.find_context(context_id)
            around = surroundings(found.repository, found.client, document)
            show._print(document, why(document, around), around.now)
            say_json(document)
    assert len(documents) == len(installation.raw())
    repository.count_by_status()
    repository.oldest_pending()


def is_kept(name: str, value: Element, after: dict[str, Element]) -> bool:
    """Whether a field stands where it stood, or under `adopted` if it had to give way."""
    kept = after.get("adopted")
    adopted = fields_of(kept.payload) if kept is not None and kept.kind == OBJECT else {}
    if value in (after.get(name), adopted.get(name)):
        return True
    if name not in ("template", "request") or value.kind != OBJECT or name not in after:
        return False
    whole = fields_of(after[name].payload)
    if name in adopted:
        whole |= fields_of(adopted[name].payload)
    return fields_of(value.payload).items() <= whole.items()


# The tests


@pytest.mark.timeout(600)
@tried(25, thorough=2000)
@given(st.lists(FOREIGN, min_size=1, max_size=3))
def test_any_foreign_document_is_adopted_or_fails_with_a_reason(
    installation: Installation, bad: list[Fields]
) -> None:
    """Its other fields stay as they were, byte for byte, and its neighbours do not notice."""
    ends, before = begin(installation, [[("status", element("pending")), *each] for each in bad])
    installation.adopt.run()
    after = installation.raw()
    for name, raw in before.items():
        was, found = fields_of(raw), fields_of(after[name])
        failed = found["status"] == element("failed")
        assert failed or found["fence"] == element(0)
        written = {"status", "error", "completed_at", "updated_at"} if failed else set()
        lost = {each for each, value in was.items() if not is_kept(each, value, found)}
        assert lost <= written
    live(installation, ends)


@pytest.mark.timeout(600)
@tried(35, thorough=3000)
@given(st.lists(CLAIMED, min_size=1, max_size=3))
def test_whatever_stands_in_a_claimed_context_it_ends(
    installation: Installation, bad: list[Fields]
) -> None:
    """No lease, fence, count or date of rubbish keeps it, or anything near it, for ever."""
    ends, _ = begin(installation, bad)
    live(installation, ends)


SPOILT: dict[str, Document] = {
    "a lease that is a word": {"lease": "mine"},
    "a list of leases": {"lease": [a_lease()]},
    "a lease without an end": {"lease": {"owner": 7, "claim_id": {"$gt": ""}}},
    "a lease that ends in words": {"lease": a_lease(expires_at="soon")},
    "a lease with two ends": {"lease": a_lease(expires_at=[LONG_AGO, LONG_AGO])},
    "an owner that is none": {"lease": a_lease(owner={"a": [1]})},
    "no fence": {"fence": None},
    "the highest fence": {"fence": 2**63 - 1},
    "a list of fences": {"fence": [3]},
    "a fence of half": {"fence": 1.5},
    "attempts that are a word": {"attempts": "many"},
    "attempts that are none": {"attempts": ["one", {"number": "two"}], "snoozes": 1},
    "no number of attempts": {"attempt": "x"},
    "no crashes": {"crashes": None},
    "crashes in words": {"crashes": "often"},
    "no failures": {"failures": {"a": 1}},
    "a time in words": {"available_at": "soon"},
    "a list of times": {"available_at": [LONG_AGO]},
    "no time": {"available_at": None},
    "a service that is a number": {"service_type": 7},
    "remote that is a word": {"remote": "there"},
    "remote that is a list": {"remote": [{"accepted_at": LONG_AGO}]},
    "a start in words": {"started_at": "then", "generation": "x", "updated_at": {"$gt": 1}},
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("status", "service"),
    [
        ("pending", "GENERATIVE"),
        ("scheduled", "GENERATIVE"),
        ("queued", "GENERATIVE"),
        ("processing", "GENERATIVE"),
        ("processing", "COMMUNICATION"),
        (["queued"], "GENERATIVE"),
    ],
)
def test_what_spoils_a_context_keeps_nothing_up(
    installation: Installation, status: Any, service: str
) -> None:
    """Each of these once did."""
    installation.clear()
    ends = installation.insert_neighbours()
    ours = a_context(fence=3, attempt=1, lease=a_lease(), priority=1, service_type=service)
    ours["status"] = status
    for name, fields in SPOILT.items():
        installation.repository.contexts.insert_one({**ours, **fields, "_id": f"bad: {name}"})
    look_at_all(installation)
    live(installation, ends, looks=False)
    look_at_all(installation)


MB = 2**20
LIMITS: dict[str, Document] = {
    "15 MB": {"theirs": b"x" * 15 * MB},
    "all that a document holds": {"theirs": b"x" * (16 * MB - 2000)},
    "100 levels": {"request": {"id": "r-1", "data": {"deep": DEEP}}},
    "100 levels in a template": {"template": {"id": "t", "service_template": {"deep": DEEP}},
                                 "service_type": "ANALYSIS"},
    "a long list of tags": {"tags": ["generative", *range(100_000)]},
    "a long list of attempts": {"attempts": [{"number": 1, "outcome": "retry"}] * 100_000},
    "the longest integers": {"failures": 2**63 - 1, "snoozes": 2**63 - 1, "generation": 2**63 - 1,
                             "attempt": 2**63 - 1, "key_generation": -(2**63)},
}  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("status", ["foreign", "pending", "queued", "processing"])
def test_documents_at_a_limit_end_and_hold_up_no_other(
    installation: Installation, status: str
) -> None:
    """As another program's, and as ours with no room for what is still to come."""
    installation.clear()
    ends = installation.insert_neighbours()
    ours = a_context(fence=3, attempt=1, lease=a_lease(), priority=1) | {"status": status}
    for name, fields in LIMITS.items():
        named = {"_id": f"bad: {name}", **fields}
        document = foreign(**named) if status == "foreign" else {**ours, **named}
        installation.repository.contexts.insert_one(document)
    live(installation, ends, looks=False)
    look_at_all(installation)
