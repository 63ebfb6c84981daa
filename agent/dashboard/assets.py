"""What the pages load beside themselves: files that are here, and nothing from anywhere else."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

PREFIX = "/dashboard/static"
TYPES = {
    "vendor/htmx.min.js": "text/javascript",
    "vendor/hx-sse.min.js": "text/javascript",
    "vendor/uPlot.iife.min.js": "text/javascript",
    "vendor/uPlot.min.css": "text/css",
    "vendor/pico.min.css": "text/css",
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
    "live.js": "text/javascript",
    "charts.js": "text/javascript",
    "theme.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
FOR_EVER = "public, max-age=31536000, immutable"
"""Another content has another address."""


def asset_url(name: str) -> str:
    """Where a file is, by its content."""
    return f"{PREFIX}/{name}?v={sha256(_content(name)).hexdigest()[:12]}"


def assets_router() -> APIRouter:
    """The route."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/{name:path}")
    async def asset(name: str) -> Response:
        if name not in TYPES:
            raise HTTPException(404)
        return Response(_content(name), media_type=TYPES[name], headers={"Cache-Control": FOR_EVER})

    return router


@lru_cache
def _content(name: str) -> bytes:
    return files("agent.dashboard").joinpath("static", *name.split("/")).read_bytes()
