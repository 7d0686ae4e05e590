"""The application: routes, the one form of errors, and what every request passes before them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from clinprompt import __version__
from clinprompt.serving.adaptations import Adaptations, adaptation_routes
from clinprompt.serving.bearer import Door
from clinprompt.serving.chat import chat_routes
from clinprompt.serving.completions import completion_routes
from clinprompt.serving.corrections import correction_routes
from clinprompt.serving.discreet import Discreet
from clinprompt.serving.exports import export_routes
from clinprompt.serving.extract import extract_routes
from clinprompt.serving.faults import answer_faults
from clinprompt.serving.health import PROBES, health_routes
from clinprompt.serving.limits import LOCAL, Limits
from clinprompt.serving.models import model_routes
from clinprompt.serving.page import page_routes
from clinprompt.serving.prompts import prompt_routes
from clinprompt.serving.server import Server
from clinprompt.serving.traffic import TrafficGate
from clinprompt.serving.visit import Ledger


def create_app(server: Server) -> Any:
    """The ASGI application of a server.

    From outside in: every request is counted and written down; host, key, size and pace of its body are looked at;
    a place is taken; then it is routed.
    """
    app = routed(server)
    settings = server.settings
    hosts = (*LOCAL, *([] if settings.host in ("0.0.0.0", "::") else [settings.host]), *settings.hosts)
    inner = TrafficGate(app, traffic=server.traffic)
    guarded = Limits(inner, hosts=hosts, probes=PROBES, body=settings.limits.body, admit=Door(server.keys))
    return Discreet(Ledger(guarded, metrics=server.metrics, audit=server.audit))


def routed(server: Server) -> FastAPI:
    """The routes of a server with their OpenAPI, without guards."""
    app = FastAPI(
        title="clinprompt",
        version=__version__,
        description="Clinical tasks on one frozen language model: a soft prompt for each.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    answer_faults(app)
    makers = (model_routes, completion_routes, chat_routes, extract_routes, export_routes, prompt_routes, health_routes)
    for make in makers:
        app.include_router(make(server))
    adaptations = Adaptations(server)
    server.closing.append(adaptations.close)
    app.include_router(correction_routes(server, adaptations))
    app.include_router(adaptation_routes(server, adaptations))
    app.include_router(page_routes())
    _without_422(app)
    return app


def paths(app: FastAPI) -> list[str]:
    """The paths of an app's routes, as they are written in its table."""
    return [route.path_format for route in app.routes if isinstance(route, APIRoute)]


def _without_422(app: FastAPI) -> None:
    """Take FastAPI's own form of a validation error out of the OpenAPI: it is never sent."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        for name in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(name, None)
        for operations in schema["paths"].values():
            for operation in operations.values():
                answer = operation["responses"].get("422", {})
                if "HTTPValidationError" in str(answer):
                    del operation["responses"]["422"]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
