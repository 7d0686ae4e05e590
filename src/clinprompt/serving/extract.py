"""``/v1/extract``: notes and tasks in, places, relations and answers out."""

from __future__ import annotations

from fastapi import APIRouter, Request

from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.extraction import EXTRACT, Asked, check_asked, extract
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import Extraction, ExtractRequest
from clinprompt.serving.refused import Refused
from clinprompt.serving.server import Server
from clinprompt.serving.visit import visit_of
from clinprompt.serving.work import worked


def extract_routes(server: Server) -> APIRouter:
    """The route of grounded extraction."""
    router = APIRouter(tags=["extraction"])
    limits = server.settings.limits

    @router.post(EXTRACT, responses=refusals(403, 404, 422), summary="Find tasks in notes")
    async def extract_notes(body: ExtractRequest, caller: AnyCaller, request: Request) -> Extraction:
        """Every task in every note, with exact places, scores and provenance."""
        notes = body.given
        if len(notes) > limits.notes:
            raise Refused(413, "too_many_notes", f"a request may have {limits.notes} notes", param="notes")
        server.admit(request, caller, [note.text for note in notes], *body.questions.values())
        found = await server.wanted(request, caller, body.tasks)
        asked = [Asked(one, served, body.questions.get(one, {})) for one, served in zip(body.tasks, found, strict=True)]
        check_asked(asked)
        result = await worked(server, request, lambda terms: extract(server, notes, asked, terms=terms))
        visit = visit_of(request)
        tasks = [task for note in result.results for task in note.tasks]
        visit.spans, visit.relations = sum(len(t.spans) for t in tasks), sum(len(t.relations) for t in tasks)
        return result

    return router
