"""What a service, a producer or a user wrote is text, whatever it looks like."""

from __future__ import annotations

import re

import pytest

from agent.store.mongo_context_repository import MongoContextRepository
from tests.factories import a_context, a_request, a_template
from tests.integration.dashboard.conftest import Person

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    "\"><img src=x onerror='alert(1)'>",
    "{{7*7}}{% raw %}",
    "javascript:alert(1)",
    "abc\u202egnp.exe\u2066",
    "a\x00b\x1b[31m",
    "../../dashboard/logout?x=1#y",
    "\U0001f600 ünïcode",
)
TURNING = {"\u202e", "\u2066", "\x00", "\x1b"}
FILLED_IN = re.compile(r' value="[^"]*"')
"""What somebody asked for stands in its field as it was, or it could not be asked for again."""
SECRET = "hush-hush-hush"


def _spoilt(text: str) -> dict[str, object]:
    error = {"type": text, "message": text, "fingerprint": "abc", "status_code": text}
    return {
        **a_context(
            _id=f"ctx_{text}".replace("\x00", ""), status="failed", fence=1,
            request=a_request(user_id=text, text=text, purpose_id=text, data={"x": text}),
            template=a_template(id=text, version=text, service_template={"x": text}),
            metadata={"x": text}, source=text,
        ),
        "tags": [text], "results": {"reply": text}, "error": error, "processed_by": text,
        "step": text, "parent_id": None, "priority": text, "attempt": text,
        "attempts": [{"number": text, "outcome": text, "worker": text, "trace_id": text,
                      "error": error, "duration_ms": text}],
    }  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_is_shown_as_text(
    operator: Person, repository: MongoContextRepository, text: str
) -> None:
    """Nothing of it is markup, a template, a link, or turns the text around."""
    document = _spoilt(text)
    repository.insert_contexts([document])
    found = operator.get("/contexts", params={"id": document["_id"]})
    assert found.status_code == 200
    assert found.url.path.startswith("/dashboard/contexts/ctx_")
    for page in (found, operator.get("/contexts"), operator.get("/dead"),
                 operator.get("/contexts", params={"user": text, "tag": text, "since": text}),
                 operator.get("/audit", params={"who": text})):  # fmt: skip
        shown = page.text
        assert page.status_code in (200, 400)
        assert SCRIPT not in shown
        assert "<img src=x" not in shown
        assert "{{7*7}}" not in text or page is not found or "{{7*7}}" in shown
        assert 'href="javascript:' not in shown
        assert not TURNING & set(FILLED_IN.sub("", shown))


def test_a_megabyte_of_text_is_cut(operator: Person, repository: MongoContextRepository) -> None:
    """A page stays a page; the whole document is there to be loaded."""
    long = "x" * 1_000_000
    repository.insert_contexts([
        a_context(_id="ctx_1", status="failed", fence=1, request=a_request(text=long, user_id=long),
                  results={"reply": long}, error={"type": long, "message": long},
                  tags={"team": long}, template=a_template(id=long)),
    ])  # fmt: skip
    for path in ("/contexts/ctx_1", "/contexts", "/dead"):
        assert len(operator.get(path).content) < 100_000
    assert len(operator.get("/contexts/ctx_1?format=json").content) > 5_000_000


def test_secrets_are_shown_nowhere(operator: Person, repository: MongoContextRepository) -> None:
    """By the name of a field, or by the form of what stands in it."""
    repository.insert_contexts([
        a_context(_id="ctx_1", status="failed", fence=1, metadata={"api_key": SECRET},
                  results={"nested": [{"Password": SECRET, "url": f"https://u:{SECRET}@host/"}]},
                  request=a_request(data={"authorization": f"Bearer {SECRET}"}),
                  error={"type": "X", "message": f"refused: Bearer {SECRET}"})
    ])  # fmt: skip
    for path in ("/contexts/ctx_1", "/contexts/ctx_1?format=json", "/contexts", "/dead"):
        assert SECRET not in operator.get(path).text
