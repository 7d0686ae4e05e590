"""``/v1/corrections``: notes that a person has corrected, kept as training examples where the server is told to."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from clinprompt.errors import InputError
from clinprompt.serving.adaptations import Adaptations
from clinprompt.serving.bearer import AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.keys import Caller
from clinprompt.serving.refused import Refused
from clinprompt.serving.right_answer import CorrectionRequest, corrected
from clinprompt.serving.served import Served
from clinprompt.serving.server import Server
from clinprompt.stages.corrections import Corrections


class Kept(BaseModel):
    """A correction that is kept: its id, its task in the bank, and how many notes of the task there are now."""

    object: Literal["correction"] = "correction"
    id: str
    task: str
    notes: int


class KeptTask(BaseModel):
    """The corrected notes of a task; ``unseen`` are those that the promoted version was not trained on as they are.

    ``replay``: there is earlier data of the task to practise beside them. ``running`` is the adaptation that runs.
    """

    task: str
    promoted: str
    notes: int
    unseen: int
    replay: bool
    running: str | None


class KeptTasks(BaseModel):
    """What is kept for the tasks that the caller may use; ``keeps`` is whether this server keeps corrections at all."""

    object: Literal["list"] = "list"
    keeps: bool
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
        await _check_prompt(server, caller, body.prompt, served)
        correction = corrected(body, served.task, slots=served.opened.template.slots)
        name = await asyncio.to_thread(folder.save, served.task, correction)
        return Kept(id=name, task=served.name, notes=len(folder.ids(served.task.name)))

    @router.get("/v1/corrections", responses=refusals(), summary="What is kept")
    def kept(caller: AnyCaller) -> KeptTasks:
        """How many corrected notes there are of each task; no text."""
        if server.settings.corrections is None:
            return KeptTasks(keeps=False, data=[])
        folder, found = kept_in(server), []
        for name, served in server.prompts.snapshot.promoted.items():
            if caller.allows(name):
                notes = folder.ids(served.task.name)
                unseen = folder.unseen(served.task.name, served.banked)
                running = adaptations.running_for(name)
                replay = adaptations.earlier(served.task.name) is not None
                found.append(KeptTask(task=name, promoted=served.reference, notes=len(notes), unseen=len(unseen),
                                      replay=replay, running=running))  # fmt: skip
        return KeptTasks(keeps=True, data=found)

    return router


def kept_in(server: Server) -> Corrections:
    """The folder of corrections; :class:`Refused` where the server keeps none."""
    if server.settings.corrections is None:
        raise Refused(404, "no_corrections", "this server keeps no corrections (`--corrections` names a folder)")
    return Corrections(server.settings.corrections)


async def _check_prompt(server: Server, caller: Caller, prompt: str | None, served: Served) -> None:
    """Raise :class:`Refused` unless this is a version of the corrected task's prompt, if one is named."""
    if prompt is None:
        return
    try:
        found = await asyncio.to_thread(server.bank.find, prompt)
    except InputError:
        found = None
    if found is None or found.name != served.name or not caller.allows(prompt):
        raise Refused(
            422, "unknown_prompt",
            f"the prompt that was corrected is no version of {served.name}: name one that the bank has, or none",
            param="prompt",
        )  # fmt: skip
