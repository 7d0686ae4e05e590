"""``/v1/adaptations``: a new version of a prompt from corrected notes, made by a process of its own.

The process is ``clinprompt renew`` with its own copy of the backbone: answering goes on, and so does the server when it
fails. The version that it adds to the bank is not promoted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from clinprompt.serving.bearer import Admin, AnyCaller
from clinprompt.serving.faults import refusals
from clinprompt.serving.findings import Reference
from clinprompt.serving.refused import Refused
from clinprompt.serving.server import Server
from clinprompt.serving.visit import visit_of
from clinprompt.stages.corrections import private
from clinprompt.stages.prepared import TASK
from clinprompt.stages.renew import WORK, RenewSettings, remove_left

NICENESS = 10
"""How far the process stands back behind the server's answers."""

STEPS = {"score": "Scoring"}
KEPT = 100
"""Finished adaptations that can still be asked about."""


class AdaptationRequest(BaseModel):
    """Which prompt: a name (its promoted version is gone on from) or name@version.

    With ``replay`` the training examples of the task's earlier data are practised too, where the server has them.
    """

    model_config = ConfigDict(extra="forbid")

    task: Reference
    replay: bool = False


class Adaptation(BaseModel):
    """How far it is: ``step`` with its ``progress`` from 0 to 1 while it runs, then ``result`` or ``error``.

    ``result`` is what `clinprompt renew --json` prints: ``prompt`` is the new version, ``compared`` both scores on the
    same notes left out.
    """

    id: str
    object: Literal["adaptation"] = "adaptation"
    task: str
    state: Literal["running", "done", "failed"]
    step: str
    progress: float | None
    result: dict[str, Any] | None
    error: str | None


@dataclass
class _Job:
    id: str
    task: str
    folder: Path
    process: subprocess.Popen[bytes]
    ended: Adaptation | None = None


class Adaptations:
    """The adaptations of a server, one at a time; ``close`` ends the one that runs.

    No copy of a note stays behind: those of a process that was killed are removed when that is noticed, when the server
    closes, and when one starts.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._jobs: dict[str, _Job] = {}
        self._changing = threading.Lock()
        self._clean()

    def earlier(self, task: str) -> Path | None:
        """The prepared data of a task, from which there are examples to replay; ``None`` without any."""
        place = self.server.settings.replay and self.server.settings.replay / task
        return place if place and (place / TASK).is_file() else None

    def start(self, reference: str, *, replay: Path | None = None) -> Adaptation:
        """Begin one, with examples of ``replay``; :class:`Refused` when another one runs."""
        settings = self.server.settings
        assert settings.corrections is not None
        with self._changing:
            if any(self._told(job).state == "running" for job in self._jobs.values()):
                raise Refused(409, "adaptation_running", "another version is being adapted; try again when it is done")
            for old in list(self._jobs)[: -KEPT + 1]:
                del self._jobs[old]
            name = uuid.uuid4().hex[:16]
            # What begins with a dot holds no notes and is not taken for what a killed process has left.
            folder = private(private(private(settings.corrections) / WORK) / f".{name}")
            wanted = RenewSettings(
                name=reference,
                replay=replay,
                **{
                    one: getattr(settings, one)
                    for one in ("bank", "bank_key", "corrections", "backbone", "answer_tokens")
                },
            )
            (folder / "settings.yaml").write_text(wanted.model_dump_json(), encoding="utf-8")
            job = _Job(name, reference, folder, self._process(folder))
            self._jobs[name] = job
            return self._told(job)

    def find(self, name: str) -> Adaptation:
        """How far one is; :class:`Refused` when there is none."""
        with self._changing:
            if name not in self._jobs:
                raise Refused(404, "adaptation_not_found", "there is no such adaptation")
            return self._told(self._jobs[name])

    def running_for(self, task: str) -> str | None:
        """The adaptation of a task that runs."""
        with self._changing:
            jobs = [job for job in self._jobs.values() if job.task.partition("@")[0] == task]
            return next((job.id for job in jobs if self._told(job).state == "running"), None)

    def close(self) -> None:
        """End what runs; nothing is added to the bank then."""
        with self._changing:
            for job in self._jobs.values():
                if job.process.poll() is None:
                    job.process.terminate()
                    try:
                        job.process.wait(5)
                    except subprocess.TimeoutExpired:
                        job.process.kill()
                        job.process.wait()
                shutil.rmtree(job.folder, ignore_errors=True)
            self._clean()

    def command(self, folder: Path) -> list[str]:
        """The command that makes a version as the settings in a folder say."""
        files = ["--config", str(folder / "settings.yaml"), "--status", str(folder / "status.json")]
        return [sys.executable, "-m", "clinprompt", "renew", *files, "--json"]

    def _clean(self) -> None:
        if self.server.settings.corrections is not None:
            remove_left(self.server.settings.corrections)

    def _process(self, folder: Path) -> subprocess.Popen[bytes]:
        with (folder / "said.json").open("wb") as said:
            # Its complaints go nowhere: what a person has to know of them is in what it says.
            process = subprocess.Popen(
                self.command(folder), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL
            )
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    def _told(self, job: _Job) -> Adaptation:
        if job.ended is None:
            code = job.process.poll()
            if code is None:
                return _running(job)
            job.ended = _ended(job, code)
            shutil.rmtree(job.folder, ignore_errors=True)
            self._clean()
            self.server.look()
        return job.ended


def adaptation_routes(server: Server, adaptations: Adaptations) -> APIRouter:
    """The routes that make new versions."""
    router = APIRouter(tags=["corrections"])

    @router.post("/v1/adaptations", status_code=202, responses=refusals(403, 404, 409), summary="Adapt a new version")
    def begin(body: AdaptationRequest, caller: Admin, request: Request) -> Adaptation:
        """Go on from a version with the corrected notes of its task, and score both on notes left out."""
        if server.settings.corrections is None:
            raise Refused(404, "no_corrections", "this server keeps no corrections (`--corrections` names a folder)")
        if server.settings.engine.kind != "local":
            raise Refused(
                409, "no_backbone", "a gateway has no backbone to adapt on: run `clinprompt renew` where it is"
            )
        server.may(caller, body.task)
        cards = {one.name: one.card for one in server.prompts.snapshot.listed}
        card = cards.get(body.task.partition("@")[0])
        if card is None:
            raise Refused(404, "model_not_found", "there is no such prompt", param="task")
        replay = adaptations.earlier(card.task.name) if body.replay and card.task else None
        if body.replay and replay is None:
            raise Refused(
                409,
                "no_replay",
                "this server has no earlier data of this task (`--replay` names a folder)",
                param="replay",
            )
        visit_of(request).tasks = (body.task,)
        return adaptations.start(body.task, replay=replay)

    @router.get("/v1/adaptations/{id}", responses=refusals(403, 404), summary="How far it is")
    def find(id: str, caller: AnyCaller) -> Adaptation:
        """State, progress, and at the end the scores."""
        found = adaptations.find(id)
        server.may(caller, found.task)
        return found

    return router


def _running(job: _Job) -> Adaptation:
    step, share = "", None
    with contextlib.suppress(OSError, ValueError):
        now = json.loads((job.folder / "status.json").read_text(encoding="utf-8"))
        step = STEPS.get(now["name"], "Training")
        share = min(1.0, now["done"] / now["total"]) if now["total"] else None
    return Adaptation(
        id=job.id, task=job.task, state="running", step=step, progress=share, result=None, error=None
    )  # fmt: skip


def _ended(job: _Job, code: int) -> Adaptation:
    said: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        said = json.loads((job.folder / "said.json").read_text(encoding="utf-8").splitlines()[-1])
    if code == 0 and "prompt" in said:
        return Adaptation(id=job.id, task=job.task, state="done", step="", progress=1.0, result=said, error=None)
    faults = [str(fault.get("what", "")) for fault in said.get("errors", ())]
    error = "; ".join(filter(None, faults)) or f"the adaptation ended with exit code {code}"
    return Adaptation(id=job.id, task=job.task, state="failed", step="", progress=None, result=None, error=error)
