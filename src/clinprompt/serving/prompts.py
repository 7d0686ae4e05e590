"""``/v1/prompts``: the versions of the bank, added, promoted, rolled back and removed while the server runs.

Tensors never come over HTTP: a prompt is a file in the inbox, put there by other means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from clinprompt.errors import InputError
from clinprompt.prompts.banked import Banked
from clinprompt.serving.bearer import Admin
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import Reference
from clinprompt.serving.keys import Caller
from clinprompt.serving.refused import Refused
from clinprompt.serving.served import ServedPrompts
from clinprompt.serving.server import Server
from clinprompt.serving.visit import visit_of
from clinprompt.stages.banked import add_prompts, replace_prompt


class PromptAdded(BaseModel):
    """A prompt file to add: its path in the inbox, the name it gets (its own without), whether the name means it."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=1000, description="Relative to the folder --inbox.")
    name: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")
    promote: bool = False


class PromptTold(BaseModel):
    """A version of a prompt. ``served``: it is opened and requests for it are answered (one that is not promoted is
    opened when it is first asked for); ``fault``: what is wrong with it or its file.
    """

    id: str
    object: Literal["prompt"] = "prompt"
    name: str
    version: int
    promoted: bool
    served: bool
    fault: str
    task: str
    kind: str
    method: str
    placement: str
    vectors: int
    template: str
    sha256: str
    bytes: int


class PromptList(BaseModel):
    """All versions of all prompts; ``revision`` counts the changes of the bank that this server has seen."""

    object: Literal["list"] = "list"
    revision: int
    data: list[PromptTold]


class PromptsRemoved(BaseModel):
    """The versions that are there no more."""

    object: Literal["list"] = "list"
    removed: list[str]


def prompt_routes(server: Server) -> APIRouter:
    """The routes of administrators."""
    router = APIRouter(tags=["prompts"], responses=refusals(403, 404, 409, 422))

    async def changed(request: Request, change: Callable[[], list[Banked]]) -> list[PromptTold]:
        """Change the bank in a thread, look at it again, and tell the versions that the change returns."""

        def run() -> list[Banked]:
            try:
                found = change()
            except InputError as fault:
                raise Refused(409, "bank_refuses", str(fault)) from None
            server.look()
            return found

        found = await asyncio.get_running_loop().run_in_executor(server.pool, run)
        visit = visit_of(request)
        visit.tasks = tuple(dict.fromkeys(one.name for one in found))
        visit.prompts = tuple(one.reference for one in found)
        return [told(one, server.prompts) for one in found]

    async def known(reference: str, caller: Caller) -> None:
        server.may(caller, reference)
        try:
            await asyncio.to_thread(server.bank.find, reference)
        except InputError as fault:
            raise Refused(404, "prompt_not_found", str(fault), param="prompt") from None

    @router.get("/v1/prompts", summary="All versions")
    async def listed(caller: Admin) -> PromptList:
        """Every version of the bank, with the reason where one is not served."""
        snapshot = server.prompts.snapshot
        return PromptList(
            revision=snapshot.revision,
            data=[told(one, server.prompts) for one in snapshot.listed if caller.allows(one.name)],
        )

    @router.post("/v1/prompts", status_code=201, summary="Add a version")
    async def add(body: PromptAdded, caller: Admin, request: Request) -> PromptTold:
        """Add a prompt file of the inbox as a new version; the bank's rules decide whether it may be one."""
        if caller.tasks is not None:  # a file's own name is known only when it is open
            server.may(caller, body.name)
        file = inbox_file(server.settings.inbox, body.path)

        def change() -> list[Banked]:
            if body.promote:
                known = (
                    {one.name for one in server.bank.listed()} if (server.bank.folder / "bank.json").exists() else set()
                )
                if body.name in known:
                    return [replace_prompt(server.bank, body.name, file)]
            [added] = add_prompts(server.bank, [file], name=body.name)
            return [server.bank.promote(added.reference) if body.promote else added]

        [added] = await changed(request, change)
        return added

    @router.put("/v1/prompts/{prompt}/promote", include_in_schema=False)
    @router.post("/v1/prompts/{prompt}/promote", summary="Promote a version")
    async def promote(prompt: Reference, caller: Admin, request: Request) -> PromptTold:
        """Let the bare name mean this version from the next request on."""
        await known(prompt, caller)
        [found] = await changed(request, lambda: [server.bank.promote(prompt)])
        return found

    @router.put("/v1/prompts/{prompt}/rollback", include_in_schema=False)
    @router.post("/v1/prompts/{prompt}/rollback", summary="Go back a version")
    async def rollback(prompt: Reference, caller: Admin, request: Request) -> PromptTold:
        """Let the bare name mean the version that was promoted before."""
        await known(prompt, caller)
        [found] = await changed(request, lambda: [server.bank.rollback(prompt)])
        return found

    @router.delete("/v1/prompts/{prompt}", summary="Remove a version or a name")
    async def remove(prompt: Reference, caller: Admin, request: Request) -> PromptsRemoved:
        """Remove a version, or all of a name; requests that run keep what they began with."""
        await known(prompt, caller)
        gone = await changed(request, lambda: server.bank.remove(prompt))
        return PromptsRemoved(removed=[one.id for one in gone])

    return router


def inbox_file(inbox: Path | None, path: str) -> Path:
    """The file of the inbox that a path names; :class:`Refused` for any other file."""
    if inbox is None:
        raise Refused(403, "no_inbox", "this server takes no prompts (`--inbox` names the folder they come from)")
    try:
        file = (inbox / path).resolve()
        inside = file.is_relative_to(inbox.resolve()) and file.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise Refused(404, "file_not_found", "the inbox has no such file", param="path")
    return file


def told(one: Banked, prompts: ServedPrompts) -> PromptTold:
    """A version as it is listed."""
    card, fault = one.card, prompts.snapshot.faults.get(one.reference, "")
    return PromptTold(
        id=one.reference, name=one.name, version=one.version, promoted=one.promoted,
        served=prompts.holds(one), fault=fault, task=card.task.name if card.task else "",
        kind=card.task.kind.value if card.task else "", method=card.method,
        placement=card.placement, vectors=card.length, template=card.template, sha256=one.sha256, bytes=one.bytes,
    )  # fmt: skip
