"""A request that is not answered: a status of HTTP, a code for programs, a sentence for people."""

from __future__ import annotations

from typing import Any

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refused(Exception):
    """A request was refused; the server turns it into an answer with OpenAI's form of an error.

    ``message`` and ``param`` never carry what the client sent as a note. ``retry_after`` is in whole seconds.

    >>> Refused(429, "rate_limit_exceeded", "too many requests", retry_after=3).headers()
    {'retry-after': '3'}
    """

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        self.status, self.code, self.message, self.param, self.retry_after = status, code, message, param, retry_after
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """The body of the answer, in the form that OpenAI's clients read."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """The headers that belong to the refusal, with names in lower case."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return headers | ({"www-authenticate": "Bearer"} if self.status == 401 else {})
