"""``/v1/corrections``: notes that a person has corrected, kept as training examples where the server is told to."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from clinprompt.data.choices import lettered
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.serving.adaptations import Adaptations
from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import FoundLabel, FoundText, Inputs, Reference
from clinprompt.serving.refused import Refused
from clinprompt.serving.server import Server
from clinprompt.stages.corrections import Correction, Corrections


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RightSpan(_Strict):
    """A span as it should be, in code points of the note."""

    id: str = Field(min_length=1, max_length=64)
    label: str = Field(min_length=1, max_length=200)
    fragments: list[tuple[int, int]] = Field(min_length=1)
    attributes: dict[str, str] = Field(default_factory=dict)


class RightRelation(_Strict):
    """A relation as it should be, between ids of spans."""

    label: str = Field(min_length=1, max_length=200)
    head: str
    tail: str


class CorrectionRequest(_Strict):
    """A note and the right answer to one task: spans, relations or an answer.

    ``prompt`` is the version that was corrected, ``patient`` keeps notes of one patient together where scores are made.
    """

    note: str = Field(min_length=1)
    task: Reference
    prompt: Reference | None = None
    id: str = Field("note", min_length=1, max_length=200)
    patient: str = Field("", max_length=200)
    spans: list[RightSpan] = Field(default_factory=list)
    relations: list[RightRelation] = Field(default_factory=list)
    answer: FoundText | FoundLabel | None = None
    inputs: Inputs = Field(default_factory=dict)


class Kept(BaseModel):
    """A correction that is kept: its id, its task in the bank, and how many notes of the task there are now."""

    object: Literal["correction"] = "correction"
    id: str
    task: str
    notes: int


class KeptTask(BaseModel):
    """The corrected notes of a task; ``unseen`` are those that the promoted version was not trained on."""

    task: str
    promoted: str
    notes: int
    unseen: int
    running: str | None


class KeptTasks(BaseModel):
    """What is kept for the tasks that the caller may use."""

    object: Literal["list"] = "list"
    data: list[KeptTask]


def correction_routes(server: Server, adaptations: Adaptations) -> APIRouter:
    """The routes that keep corrections."""
    router = APIRouter(tags=["corrections"])

    @router.post("/v1/corrections", status_code=201, responses=refusals(403, 404, 422), summary="Keep a correction")
    async def keep(body: CorrectionRequest, caller: AnyCaller, request: Request) -> Kept:
        """Keep a corrected note as a training example; the same note again takes the place of the one before."""
        folder = kept_in(server)
        server.admit(request, caller, [body.note], body.inputs)
        [served] = await server.wanted(request, caller, [body.task])
        correction = corrected(body)
        name = await asyncio.to_thread(folder.save, served.task, correction)
        return Kept(id=name, task=served.name, notes=len(folder.ids(served.task.name)))

    @router.get("/v1/corrections", responses=refusals(404), summary="What is kept")
    def kept(caller: AnyCaller) -> KeptTasks:
        """How many corrected notes there are of each task; no text."""
        folder, found = kept_in(server), []
        for name, served in server.prompts.snapshot.promoted.items():
            if caller.allows(name):
                notes = set(folder.ids(served.task.name))
                unseen = notes - folder.seen(served.task.name, served.reference)
                running = adaptations.running_for(name)
                found.append(KeptTask(task=name, promoted=served.reference, notes=len(notes), unseen=len(unseen),
                                      running=running))  # fmt: skip
        return KeptTasks(data=found)

    return router


def kept_in(server: Server) -> Corrections:
    """The folder of corrections; :class:`Refused` where the server keeps none."""
    if server.settings.corrections is None:
        raise Refused(404, "no_corrections", "this server keeps no corrections (`--corrections` names a folder)")
    return Corrections(server.settings.corrections)


def corrected(body: CorrectionRequest) -> Correction:
    """The correction of a request; :class:`InputError` for spans outside the note and relations without ends."""
    spans = tuple(
        Span(one.label, tuple(one.fragments), one.id, {key: value for key, value in one.attributes.items() if value})
        for one in body.spans
    )
    if len({span.id for span in spans}) < len(spans):
        raise Refused(422, "same_id", "two spans have the same id", param="spans")
    relations = tuple(
        Relation(one.label, one.head, one.tail, f"R{place}") for place, one in enumerate(body.relations, 1)
    )
    document = Document(body.id, body.note, spans, relations, group=body.patient)
    said: dict[str, Any] = {} if body.answer is None else body.answer.model_dump()
    options = body.inputs.get("options", [])
    choices = lettered(options) if isinstance(options, list) else ()
    texts = {slot: value for slot, value in body.inputs.items() if isinstance(value, str)}
    return Correction(document, said.get("label"), said.get("text"), texts, choices, body.prompt or "")
