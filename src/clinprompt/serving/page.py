"""``/``: the page on which a person reads notes, compares prompts and corrects them. Static files, held in memory."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from clinprompt.serving.refused import Refused

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
INDEX = "index.html"


def page_routes() -> APIRouter:
    """The page and its parts, for everybody who reaches the server: what they show is asked for with a key."""
    parts = page_files()
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index() -> Response:
        return _response(INDEX, parts[INDEX])

    @router.get("/page/{name}")
    async def part(name: str) -> Response:
        if name not in parts:
            raise Refused(404, "not_found", "there is no such address")
        return _response(name, parts[name])

    return router


def page_files() -> dict[str, bytes]:
    """The files of the page by name."""
    folder = files("clinprompt.serving") / "page"
    return {part.name: part.read_bytes() for part in folder.iterdir() if part.name.rpartition(".")[2] in TYPES}


def _response(name: str, content: bytes) -> Response:
    # The same origin only; looked at anew each time, so that a page never runs parts of two versions.
    return Response(content, headers={"content-type": TYPES[name.rpartition(".")[2]], "cache-control": "no-cache"})
