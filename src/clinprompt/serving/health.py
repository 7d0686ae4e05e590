"""Whether the server lives, whether it should be sent requests, and its figures."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from clinprompt import __version__
from clinprompt.serving.bearer import watcher_of
from clinprompt.serving.metrics import CONTENT_TYPE
from clinprompt.serving.server import Server

PROBES = ("/healthz", "/readyz", "/metrics")
"""What orchestrators and Prometheus ask, under whatever name: nothing in the answers comes from a request."""


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    """Whether requests should be sent here.

    ``faults`` names promoted versions that cannot be opened, or whose file was damaged since, and says why (the
    versions served before, or the one in memory, go on), ``trouble`` what is wrong with the bank or the engine as a
    whole; ``fault_count`` counts both. Where the server has keys ``faults`` are those of prompts that the caller's key
    opens, and ``trouble`` is for administrators.
    """

    ready: bool
    stopping: bool
    prompts: int
    fault_count: int
    faults: dict[str, str]
    trouble: str


def health_routes(server: Server) -> APIRouter:
    """The routes for those who watch the server; none needs a key, none tells of a note."""
    router = APIRouter(tags=["health"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Does the process live?")
    async def healthz() -> Health:
        """Always 200 while the process answers."""
        return Health()

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz", summary="Should requests be sent here?",
        responses={503: {"model": Readiness, "description": "Not now: stopping, without prompts, or broken."}},
    )  # fmt: skip
    async def readyz(request: Request, response: Response) -> Readiness:
        """200 when requests are answered, 503 while the server stops or cannot answer; what is wrong to a key only."""
        caller = watcher_of(request, server.keys)
        snapshot, stopping = server.prompts.snapshot, server.traffic.draining
        trouble = server.trouble if server.alive else "the engine has failed; start the server anew"
        ready = not stopping and server.alive and bool(snapshot.promoted)
        response.status_code = 200 if ready else 503
        return Readiness(
            ready=ready, stopping=stopping, prompts=len(snapshot.promoted),
            fault_count=len(snapshot.faults) + bool(trouble),
            faults={name: why for name, why in snapshot.faults.items() if caller.allows(name)},
            trouble=trouble if caller.admin else "",
        )  # fmt: skip

    @router.head("/metrics", include_in_schema=False)
    @router.get(
        "/metrics", summary="Figures for Prometheus", response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Figures"}},
    )  # fmt: skip
    async def metrics() -> Response:
        """Counters, histograms and gauges in Prometheus' text format."""
        return Response(server.metrics.text(), media_type=CONTENT_TYPE)

    return router
