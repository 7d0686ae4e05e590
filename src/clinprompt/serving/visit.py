"""What is told of a request when it is over: to the audit log, which has no answer without it, and to the metrics."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from clinprompt.inference.engines.unanswered import Cancelled
from clinprompt.serving.audit import AuditLog, Event
from clinprompt.serving.audit_line import AuditRecord
from clinprompt.serving.faults import response, unanswered
from clinprompt.serving.metrics import OTHER, Metrics
from clinprompt.serving.refused import Refused
from clinprompt.serving.traffic import WORK


@dataclass(slots=True)
class Visit:
    """One request: names and numbers only. Routes fill it in while they answer."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    who: str = "nobody"
    route: str = OTHER
    status: int = 0
    streams: bool = False
    tasks: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    characters: int = 0
    spans: int = 0
    relations: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def record(self) -> AuditRecord:
        """Its line in the audit log."""
        return AuditRecord(
            who=self.who, route=self.route, status=self.status, request=self.id, tasks=self.tasks,
            prompts=self.prompts, notes=self.notes, characters=self.characters, spans=self.spans,
            relations=self.relations,
        )  # fmt: skip


def visit_of(request: Any) -> Visit:
    """The visit that a request of the app is."""
    return request.scope["state"]["visit"]


class Ledger:
    """An ASGI application around all others: counts every request and writes down those for work.

    An answer's first byte leaves when its record is kept; where it cannot be kept, the answer is 503.
    """

    def __init__(self, app: Any, *, metrics: Metrics, audit: AuditLog | None) -> None:
        self.app, self.metrics, self.audit = app, metrics, audit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        visit = Visit()
        scope.setdefault("state", {})["visit"] = visit
        audited = self.audit is not None and scope["path"].startswith(WORK)
        began = replaced = False

        async def told(message: Any) -> None:
            nonlocal began, replaced
            if replaced:
                return
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                visit.route = _route(scope)
                message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", visit.id.encode())]}
                if audited:
                    try:
                        await self._write(visit, "begun" if visit.streams else "request")
                    except Refused as refused:
                        began = replaced = True
                        visit.status = refused.status
                        return await response(refused)(scope, receive, send)
                began = True
            await send(message)

        try:
            await self.app(scope, receive, told)
        except asyncio.CancelledError:  # the server stops
            if began:
                raise
            visit.streams = False
            await response(unanswered(Cancelled("the server stops")))(scope, receive, told)
        finally:
            if audited and visit.streams and not replaced:
                await self._end(visit)
            self.metrics.request(visit.route, status=visit.status or 499, seconds=visit.seconds, tasks=visit.tasks)

    async def _write(self, visit: Visit, event: Event) -> None:
        assert self.audit is not None
        await asyncio.to_thread(self.audit.write, visit.record(), event=event)

    async def _end(self, visit: Visit) -> None:
        """The second line of a streamed answer, also when the client has gone."""
        try:
            await asyncio.shield(self._write(visit, "ended"))
        except Refused:
            visit.status = 503  # the bytes have left; the metrics tell


def _route(scope: Any) -> str:
    return getattr(scope.get("route"), "path_format", OTHER)
