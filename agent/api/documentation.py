"""`/openapi.json` and `/docs`, of files that are here: a browser asks nobody else for anything."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from agent.api import problem_kinds as kinds
from agent.api.problems import FieldError, ProblemDetails, problem
from agent.api.uploads import NewBatch

API_VERSION = "1.0"

STATIC = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "docs.js": "text/javascript",
}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The API of agent</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/static/swagger-ui-bundle.js"></script>
<script src="/static/docs.js"></script>
</html>
"""
ABOUT = """\
Asks for work, and tells what becomes of it. Every error is a problem by RFC 9457, whose `type` is a
page of [/problems/](/problems/). Times are ISO 8601 in UTC. An id of another program that is no
string is written as extended JSON, here and in paths: `{"$oid": "…"}`.
"""


def document_api(app: FastAPI) -> None:
    """Serve the OpenAPI document of what is under `/v1/`, and the page that shows it."""
    document: dict[str, Any] = {}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        if not document:
            document.update(openapi_of(app))
        return document

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(PAGE, headers=HEADERS)

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in STATIC:
            return problem(kinds.NOT_FOUND)
        more = {**HEADERS, "Cache-Control": "public, max-age=3600"}
        return Response(_content(name), media_type=STATIC[name], headers=more)


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    document = get_openapi(title="agent", version=API_VERSION, description=ABOUT, routes=app.routes)
    document["paths"] = {
        path: item for path, item in document["paths"].items() if path.startswith("/v1/")
    }
    schemas = document["components"]["schemas"]
    for model in (FieldError, ProblemDetails, NewBatch):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, inner in schema.pop("$defs", {}).items():
            schemas.setdefault(name, inner)
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


@lru_cache
def _content(name: str) -> bytes:
    return files("agent.api").joinpath("static", name).read_bytes()
