"""Hypothesis strategies of whole documents: as other programs insert them, and as a program that
meddles with ours might leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from agent.models import Document
from tests.factories import a_context, a_lease, foreign
from tests.raw_bson import Element, Fields, an_object, element
from tests.strategies import ELEMENTS, shaped

CONTRACT = sorted(
    {*a_context(), "template_id", "lease", "remote", "adopted", "error", "results", "expire_at"}
    - {"_id"}
    | {"theirs"}
)
"""Every field that means something to us, and one that does not."""

SHAPES: list[Document] = [
    {},
    {"service_type": "generative", "template": {"id": "welcome", "service_template": {}}},
    {"tags": ["generative", "user:42"], "template": {"service_template": {"prompt": "Hi"}}},
    {"tags": {"service": "Analysis"}, "template": {"service_template": {"data": [1]}}},
    {"template": "greeting", "created_at": "2024-05-01T12:00:00", "priority": 99},
    {"request": {"id": 7, "urgent": True, "data": {"$gt": 1, "a.b": {"$ref": "x", "$id": 1}}}},
]
"""As other programs insert them."""

FOREIGN = st.sampled_from(SHAPES).flatmap(
    lambda shape: shaped(
        {name: value for name, value in foreign(**shape).items() if name not in ("_id", "status")},
        [name for name in CONTRACT if name not in ("status", "fence")],
        ELEMENTS,
        most=4,
    )
)

LEASES = st.one_of(
    ELEMENTS,
    st.dictionaries(
        st.sampled_from(["owner", "claim_id", "token", "expires_at"]), ELEMENTS, max_size=3
    ).map(lambda spoilt: an_object([*_lease_without(spoilt), *spoilt.items()])),
)
CLAIMED_FIELDS = ["fence", "attempts", "failures", "crashes", "snoozes", "generation", "remote",
                  "available_at", "deadline_at", "priority", "attempt", "max_attempts",
                  "key_generation", "service_type", "started_at", "processed_by", "kind", "error",
                  "created_at", "updated_at", "wait_reason", "template", "request"]  # fmt: skip
STATUSES = st.sampled_from(["queued", "processing", "pending", "scheduled"])


def _lease_without(names: Mapping[str, Any]) -> Fields:
    return [(name, element(value)) for name, value in a_lease().items() if name not in names]


def _claimed(
    parts: tuple[str, Element, Fields, Element | None],
) -> Fields:
    status, lease, fields, service = parts
    given_ = [("status", element(status)), ("lease", lease)]
    given_ += [("service_type", service)] if service is not None else []
    return [*given_, *(each for each in fields if each[0] not in ("service_type",) or not service)]


CLAIMED = st.tuples(
    STATUSES,
    st.one_of(st.just(element(a_lease())), LEASES),
    shaped(
        {name: value for name, value in a_context(fence=3, attempt=1, crashes=1).items()
         if name not in ("_id", "status", "lease")},
        CLAIMED_FIELDS,
        ELEMENTS,
        most=4,
    ),
    st.one_of(st.none(), st.sampled_from(["COMMUNICATION", "ANALYSIS", "analysis"]).map(element)),
).map(_claimed)  # fmt: skip
