"""``/v1/export``: findings as brat or FHIR, written by the same writers as files; nothing of them is kept."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from clinprompt.data.writers.brat import annotations
from clinprompt.data.writers.fhir import write_bundle
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import TaskFindings
from clinprompt.serving.refused import Refused
from clinprompt.serving.server import Server

PIECE = 65_536
TYPES = {"brat": "application/zip", "fhir": "application/fhir+json"}
SCHEMAS = {"brat": {"type": "string", "format": "binary"}, "fhir": {"type": "object"}}


class ExportRequest(BaseModel):
    """One note and its findings, as `/v1/extract` gave them or as a person corrected them; ``id`` names the files."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["brat", "fhir"]
    id: str = Field(min_length=1, max_length=200, pattern=r"^[\w][\w. -]*$")
    note: str
    tasks: list[TaskFindings] = Field(max_length=1000)


def export_routes(server: Server) -> APIRouter:
    """The route of other formats."""
    router = APIRouter(tags=["extraction"])
    answer = {
        200: {
            "content": {TYPES[kind]: {"schema": schema} for kind, schema in SCHEMAS.items()},
            "description": "The file.",
        }
    }

    @router.post(
        "/v1/export", responses={**answer, **refusals(422)}, response_class=StreamingResponse, summary="Another format"
    )
    def export(body: ExportRequest, caller: AnyCaller, request: Request) -> StreamingResponse:
        """A zip with the note and its brat file, or a FHIR R4 Bundle; ``X-Left-Out`` counts what it cannot hold."""
        server.admit(request, caller, [body.note])
        document = document_of(body.id, body.note, body.tasks)
        try:
            content, lost = (_brat if body.format == "brat" else _fhir)(document, body.tasks)
        except UnicodeEncodeError:
            raise Refused(400, "invalid_parameter", "a text has half of a surrogate pair", param="note") from None
        if answers := sum(one.answer is not None for one in body.tasks):
            lost["answers"] = answers
        left_out = ", ".join(f"{kind} {count}" for kind, count in sorted(lost.items()))
        return StreamingResponse(
            (content[at : at + PIECE] for at in range(0, len(content), PIECE)),
            media_type=TYPES[body.format],
            headers={"content-length": str(len(content)), **({"x-left-out": left_out} if left_out else {})},
        )

    return router


def document_of(name: str, note: str, tasks: Sequence[TaskFindings]) -> Document:
    """The findings of all tasks in one document, ids counted anew.

    Raises :class:`Refused` for a span whose text is not what stands at its place: the note is another one, or its
    offsets count other units.
    """
    spans: list[Span] = []
    links: list[Relation] = []
    for one in tasks:
        names: dict[str, str] = {}
        for found in one.spans:
            names[found.id] = f"T{len(spans) + 1}"
            span = Span(found.label, tuple(found.fragments), names[found.id], found.attributes)
            if span.surface(note) != found.text:
                raise Refused(422, "not_in_note", f"span {found.id} of {one.prompt} is not the text at its place",
                              param="tasks")  # fmt: skip
            spans.append(span)
        for link in one.relations:
            ends = names.get(link.head, ""), names.get(link.tail, "")
            links.append(Relation(link.label, *ends, id=f"R{len(links) + 1}"))
    return Document(name, note, tuple(spans), tuple(links))


def _brat(document: Document, tasks: Sequence[TaskFindings]) -> tuple[bytes, Counter[str]]:
    text, lost = annotations(document)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix, content in ((".txt", document.text), (".ann", text)):
            archive.writestr(zipfile.ZipInfo(document.id + suffix), content.encode())
    return packed.getvalue(), Counter(lost)


def _fhir(document: Document, tasks: Sequence[TaskFindings]) -> tuple[bytes, Counter[str]]:
    written = io.StringIO()
    lost = write_bundle([document], written, provenance=_provenance(tasks))
    return written.getvalue().encode(), Counter(lost)


def _provenance(tasks: Sequence[TaskFindings]) -> dict[str, Any]:
    """What made the findings, as `clinprompt predict` tells it to the writers."""
    told = [one.provenance for one in tasks]
    shared = {
        name: told[0][name] for name in ("clinprompt", "backbone") if told and len({one.get(name) for one in told}) == 1
        and name in told[0]
    }  # fmt: skip
    prompts = [
        {"task": one.task.partition("@")[0], "prompt": one.prompt.partition("@")[0],
         "version": one.prompt.partition("@")[2], "sha256": one.provenance.get("sha256", "")}
        for one in tasks
    ]  # fmt: skip
    return {**shared, "prompts": prompts}
