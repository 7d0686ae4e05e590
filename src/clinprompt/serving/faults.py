"""How every fault is answered: a status of HTTP and OpenAI's form of an error, on all routes alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from clinprompt.errors import InputError
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Expired, Full, Unanswered, Unreachable
from clinprompt.serving.refused import Refused

RETRY = 2
"""Seconds after which a client may come back to a busy server."""

_NAME = re.compile(r"[A-Za-z0-9_.@\-]{1,80}")
_SAID = {
    400: "The request cannot be read, or asks for something that cannot be honoured.",
    401: "No key, or one that is not known.",
    403: "The key does not open this.",
    404: "There is no such prompt or address.",
    409: "The bank does not allow the change.",
    413: "More than one request may hold.",
    422: "Understood, but not possible, such as a note that has no room.",
    429: "The quota of the key is used up; see Retry-After.",
    503: "Busy, stopping, or not done in time; see Retry-After.",
}
_WHY: dict[type[Unanswered], tuple[str, str]] = {
    Full: ("overloaded", "the server is busy; try again later"),
    Closed: ("stopping", "the server is about to stop"),
    Cancelled: ("stopping", "the server stopped before the answer was finished"),
    Unreachable: ("engine_unavailable", "the engine behind this server does not answer now"),
    Expired: ("timeout", "the answer was not finished in time; ask for less at once"),
}

OURS = Refused(500, "internal", "this is a fault of the server, which has written down where it happened")
"""The answer to a request that the server failed at."""


class ErrorDetail(BaseModel):
    """What went wrong, for a person (``message``) and for a program (``type``, ``param``, ``code``)."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


def refusals(*more: int) -> dict[int | str, dict[str, Any]]:
    """How the refusals of a route are described in OpenAPI; those of every route need not be named."""
    statuses = sorted({400, 401, 413, 429, 503, *more})
    return {status: {"model": ErrorBody, "description": _SAID[status]} for status in statuses}


def answer_faults(app: FastAPI) -> None:
    """Let an app answer every fault in the one form."""
    handlers: dict[type[Exception], Callable[[Any], Refused]] = {
        Refused: lambda fault: fault,
        InputError: lambda fault: Refused(422, "unusable", str(fault)),
        Unanswered: unanswered,
        RequestValidationError: _invalid,
        HTTPException: _http,
        Exception: lambda fault: OURS,  # raised again by Starlette, and written down by Discreet
    }
    for kind, refused_for in handlers.items():

        async def handle(request: Request, fault: Exception, refused_for: Any = refused_for) -> JSONResponse:
            return response(refused_for(fault))

        app.add_exception_handler(kind, handle)


def response(refused: Refused) -> JSONResponse:
    """The answer that a refusal is."""
    return JSONResponse(refused.body(), refused.status, refused.headers())


def unanswered(fault: Unanswered) -> Refused:
    """The refusal that an engine's reason is."""
    failed = ("engine_failed", "the engine has failed; the server has to be started anew")
    code, message = next((said for kind, said in _WHY.items() if isinstance(fault, kind)), failed)
    return Refused(503, code, message, retry_after=RETRY)


def _http(fault: HTTPException) -> Refused:
    known = {404: ("not_found", "there is no such address"), 405: ("method_not_allowed", "not with this method")}
    return Refused(fault.status_code, *known.get(fault.status_code, ("bad_request", "the request cannot be read")))


def _invalid(fault: RequestValidationError) -> Refused:
    """All faults of a body; values are never repeated, they could be text of a note."""
    found = [(_place(one["loc"]), one["type"], one["msg"]) for one in fault.errors()]
    place, kind, _ = found[0]
    if kind == "json_invalid":
        return Refused(400, "invalid_json", "the body is not JSON")
    if kind == "model_attributes_type" and not place:
        what = "the body is no JSON object, or the header `Content-Type: application/json` is missing"
        return Refused(400, "invalid_json", what)
    extra = [name or "of this name" for name, kind, _ in found if kind == "extra_forbidden"]
    if extra:
        what = "; ".join(f"there is no parameter {name}" for name in extra[:5])
        return Refused(400, "unknown_parameter", what, param=place or None)
    said = [message.removeprefix("Value error, ") for _, _, message in found]
    what = "; ".join(f"{name}: {text}" if name else text for (name, _, _), text in zip(found[:5], said, strict=False))
    return Refused(400, "invalid_parameter", what, param=place or None)


def _place(steps: tuple[int | str, ...]) -> str:
    names = [str(step) for step in steps[1:]]
    return ".".join(names) if all(_NAME.fullmatch(name) for name in names) else ""
