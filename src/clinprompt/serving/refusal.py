"""Why a request is refused, in OpenAI's form: the same body for every route and every status."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from clinprompt.errors import InputError

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "unprocessable_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "overloaded_error",
}
GONE = 499
"""Status of an answer that nobody waits for any more."""

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


class ErrorDetail(BaseModel):
    """What went wrong, for a person (``message``) and for a program (``type``, ``param``, ``code``)."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


class Refusal(Exception):
    """A request that is not answered: HTTP status, a code for programs, a sentence for people; never note text.

    ``param`` names the field at fault, ``retry_after`` the seconds after which it may be tried again.
    """

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        self.status, self.code, self.message = status, code, message
        self.param, self.retry_after = param, retry_after
        super().__init__(message)


def refused(refusal: Refusal) -> JSONResponse:
    """The response that a refusal is."""
    detail = ErrorDetail(
        message=refusal.message,
        type=TYPES.get(refusal.status, "server_error"),
        param=refusal.param,
        code=refusal.code,
    )
    headers = {"Retry-After": str(max(1, round(refusal.retry_after)))} if refusal.retry_after is not None else {}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": detail.model_dump()}, refusal.status, headers)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route's refusals are described in OpenAPI."""
    return {status: {"model": ErrorBody, "description": TYPES[status].replace("_", " ")} for status in statuses}


def refuse_faults(app: FastAPI) -> None:
    """Let an app answer every fault in this form."""
    app.add_exception_handler(Refusal, lambda request, fault: refused(fault))
    app.add_exception_handler(InputError, lambda request, fault: refused(unusable(fault)))
    app.add_exception_handler(RequestValidationError, lambda request, fault: refused(_invalid(fault)))
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, lambda request, fault: refused(INTERNAL))


INTERNAL = Refusal(500, "internal", "This is a fault of the server; it has written down where it happened.")


def unusable(fault: InputError) -> Refusal:
    """What was asked for in the right form and cannot be done."""
    return Refusal(422, "unusable", str(fault))


async def _http(request: Request, fault: HTTPException) -> JSONResponse:
    known = {404: ("not_found", "There is no such address."), 405: ("method", "This address has no such method.")}
    code, message = known.get(fault.status_code, ("bad_request", "The request cannot be read."))
    response = refused(Refusal(fault.status_code, code, message))
    response.headers.update(fault.headers or {})
    return response


def _invalid(fault: RequestValidationError) -> Refusal:
    """All faults of a body in one sentence each; values are never repeated, they could be text of a note."""
    found = [(_place(one["loc"]), one["type"], one["msg"]) for one in fault.errors()]
    place, kind, _ = found[0]
    if kind == "extra_forbidden":
        what = "; ".join(f"there is no parameter {name or 'of this name'}" for name, kind, _ in found)
        return Refusal(400, "unknown_parameter", _sentence(what), param=place or None)
    if kind == "json_invalid":
        return Refusal(400, "invalid_json", "The body is not JSON.")
    what = "; ".join(f"{name}: {said}" if name else said for name, _, said in found[:5])
    return Refusal(400, "invalid_parameter", _sentence(what), param=place or None)


def _place(steps: tuple[int | str, ...]) -> str:
    names = [str(step) for step in steps[1:]]
    return ".".join(names) if all(_NAME.fullmatch(name) for name in names) else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
