"""The form of errors, and the page that explains each."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.api.problem_kinds import KINDS, PREFIX, page
from agent.settings import Settings

Browse = Callable[..., Any]


def test_the_page_in_the_docs_is_current() -> None:
    """`make docs` writes it."""
    assert Path("docs/problems.md").read_text() == page()


@pytest.mark.parametrize("name", KINDS)
def test_a_type_is_a_page(browse: Browse, name: str) -> None:
    """Whoever follows the `type` of a problem learns what to do, without a key."""
    reply = browse().get(PREFIX + name)
    assert reply.status_code == 200
    assert re.split(r"[`\[]", KINDS[name].remedy)[0] in reply.text


def test_a_path_that_there_is_not_is_a_problem(browse: Browse) -> None:
    """So is a type of which there is no page."""
    for path in ("/nowhere", "/problems/nonsense"):
        reply = browse().get(path)
        assert reply.headers["content-type"] == "application/problem+json"
        assert (reply.status_code, reply.json()["type"]) == (404, "/problems/not-found")


def test_nobody_without_a_key_comes_in(browse: Browse) -> None:
    """Nor does the problem tell whether there would have been anything."""
    assert Settings().env == "production"
    reply = browse().get("/v1/requests/ctx_1")
    assert reply.status_code == 401
    assert reply.json()["type"] == "/problems/key-needed"


def test_the_page_of_the_api_asks_nobody_else(browse: Browse) -> None:
    """Scripts and styles are here, and the browser is told to load no others."""
    browser = browse()
    reply = browser.get("/docs")
    assert reply.status_code == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "http" not in reply.text
    for path in ("/static/swagger-ui-bundle.js", "/static/swagger-ui.css", "/static/docs.js"):
        assert path in reply.text
        assert browser.get(path).status_code == 200
    assert browser.get("/static/README.md").status_code == 404


def test_the_document_names_every_problem_of_a_route(browse: Browse) -> None:
    """Each route says what it answers when it does not do what was asked."""
    document = browse().get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, item in document["paths"].items():
        assert path.startswith("/v1/")
        for operation in item.values():
            assert {"401", "403", "422", "429", "503"} <= operation["responses"].keys(), path
            assert operation["security"], path
