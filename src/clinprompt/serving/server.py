"""A server: one backbone, one bank, one engine, and what guards them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from re import fullmatch
from typing import Any

from fastapi import Request

from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.errors import InputError
from clinprompt.inference.engines.live import LiveEngine
from clinprompt.prompts.bank import PromptBank
from clinprompt.serving.audit import AuditLog
from clinprompt.serving.audit_line import AuditSecret, audit_secret
from clinprompt.serving.findings import REFERENCE
from clinprompt.serving.keys import Caller, KeyRing
from clinprompt.serving.metrics import Metrics
from clinprompt.serving.quotas import Quotas
from clinprompt.serving.refused import Refused
from clinprompt.serving.relay import Relay
from clinprompt.serving.served import Served, ServedPrompts, Snapshot
from clinprompt.serving.settings import ServeSettings
from clinprompt.serving.shared_reader import SharedReader
from clinprompt.serving.traffic import Traffic
from clinprompt.serving.visit import visit_of
from clinprompt.stages.banked import open_bank
from clinprompt.stages.opened import Opened
from clinprompt.stages.opened_engine import OpenedEngine, open_engine

ROUTES = (
    "/v1/models", "/v1/models/{model}", "/v1/completions", "/v1/chat/completions", "/v1/extract", "/v1/prompts",
    "/v1/export", "/v1/corrections", "/v1/adaptations", "/v1/adaptations/{id}", "/", "/page/{name}",
    "/v1/prompts/{prompt}", "/v1/prompts/{prompt}/promote", "/v1/prompts/{prompt}/rollback", "/healthz", "/readyz",
    "/metrics", "/openapi.json",
)  # fmt: skip
"""The paths that metrics tell apart."""


@dataclass(slots=True)
class Server:
    """What the routes of an app share. ``engine`` is there for a decoder, ``reader`` for an encoder.

    ``closing`` are called first when it is closed.
    """

    settings: ServeSettings
    opened: Opened
    bank: PromptBank
    prompts: ServedPrompts
    traffic: Traffic
    pool: ThreadPoolExecutor
    keys: KeyRing
    quotas: Quotas
    metrics: Metrics
    audit: AuditLog | None = None
    secret: AuditSecret | None = None
    engine: LiveEngine | Relay | None = None
    reader: SharedReader | None = None
    trouble: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)
    closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether the engine can answer."""
        return self.engine is None or self.engine.alive

    def admit(
        self, request: Request, caller: Caller, texts: Sequence[str], *beside: Mapping[str, str | list[str]]
    ) -> None:
        """Count notes, and the inputs ``beside`` them, against the caller's quotas and put the notes on record.

        Raises :class:`Refused` when they are too many.
        """
        inputs = [
            text for one in beside for value in one.values() for text in ([value] if isinstance(value, str) else value)
        ]
        characters = sum(map(len, texts)) + sum(map(len, inputs))
        visit, most = visit_of(request), self.settings.limits.characters
        visit.characters = characters
        if self.secret is not None:
            visit.notes = tuple(self.secret.mark(text) for text in texts)
        if characters > most:
            raise Refused(413, "too_many_characters", f"a request may have {most} characters of notes")
        self.quotas.take(caller, now=time.monotonic(), characters=characters)

    async def wanted(self, request: Request, caller: Caller, references: Sequence[str]) -> list[Served]:
        """The prompts that a request names, all as they are at one moment.

        Raises :class:`Refused` for those that the caller's key does not open and those that are not served.
        """
        snapshot = self.prompts.snapshot
        for reference in references:
            self.may(caller, reference)
        found = [await self.found(reference, snapshot, caller) for reference in references]
        visit = visit_of(request)
        visit.tasks, visit.prompts = tuple(one.name for one in found), tuple(one.reference for one in found)
        return found

    def may(self, caller: Caller, reference: str) -> None:
        """Raise :class:`Refused` unless the caller's key opens a prompt."""
        if not caller.allows(reference):
            raise Refused(403, "not_allowed", "the key does not open this prompt", param="model")

    async def found(self, reference: str, snapshot: Snapshot, caller: Caller) -> Served:
        """The prompt that a name means; :class:`Refused` when there is none that is served."""
        if reference in snapshot.promoted:
            return snapshot.promoted[reference]
        if not fullmatch(REFERENCE, reference):  # not repeated: it could be anything, words of a note too
            what = "no model has such a name; /v1/models lists those there are"
            raise Refused(404, "model_not_found", what, param="model")
        try:
            find = partial(self.prompts.find, reference, snapshot, opens=caller.allows)
            return await asyncio.get_running_loop().run_in_executor(self.pool, find)
        except InputError as fault:
            raise Refused(404, "model_not_found", str(fault), param="model") from None

    def watch(self) -> None:
        """Look at the bank again and again until the server is closed."""
        while not self.stopped.wait(self.settings.watch):
            self.look()

    def look(self) -> None:
        """Look at the bank now; what cannot be read is told by `/readyz` and changes nothing."""
        try:
            self.prompts.refresh()
            self.trouble = ""
        except Exception as fault:
            self.trouble = str(fault) if isinstance(fault, InputError) else type(fault).__name__

    def close(self) -> None:
        """End the engine and the log; what still runs is cancelled."""
        self.stopped.set()
        for end in self.closing:
            end()
        if self.engine is not None:
            self.engine.close()
        if self.reader is not None:
            self.reader.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.audit is not None:
            self.audit.close()


def open_server(settings: ServeSettings, *, opened: Opened | None = None) -> Server:
    """Open backbone and bank and check every promoted prompt; :class:`InputError` for what cannot be opened."""
    keys = KeyRing(settings.keys)
    secret = None
    if settings.audit is not None:
        beside = settings.audit.with_name(settings.audit.name + ".secret")
        secret = audit_secret(settings.audit_secret or beside, make=True)
    bank = open_bank(settings.bank, key=settings.bank_key)
    _ = bank.manifest  # what is no bank is refused before the backbone is loaded
    opened = opened or open_engine(settings.engine, settings.backbone)
    opened.check_decoding(settings.decoding, tokens="answer_tokens" in settings.model_fields_set)
    limits = settings.limits
    engine: LiveEngine | Relay | None = None
    reader = None
    if isinstance(opened, OpenedEngine):
        engine = Relay(opened.engine, rows=settings.engine.at_once, waiting=limits.waiting)
    elif isinstance(opened.backbone, EncoderBackbone):
        predictor = opened.predictor(settings.decoding, tokens=settings.answer_tokens)
        reader = SharedReader(predictor, rows=limits.rows, waiting=limits.waiting)
    else:
        engine = LiveEngine(opened.backbone, rows=limits.rows, tokens=limits.batch, waiting=limits.waiting)
    runs: Any = engine or reader
    prompts = ServedPrompts(bank, opened, call=runs.call)
    metrics = Metrics(
        routes=ROUTES,
        tasks=lambda: prompts.snapshot.promoted,
        running=lambda: runs.running,
        waiting=lambda: runs.waiting,
    )
    server = Server(
        settings=settings,
        opened=opened,
        bank=bank,
        prompts=prompts,
        traffic=Traffic(most=limits.requests, seconds=limits.seconds),
        pool=ThreadPoolExecutor(limits.requests, thread_name_prefix="request"),
        keys=keys,
        quotas=Quotas(),
        metrics=metrics,
        secret=secret,
        engine=engine,
        reader=reader,
    )
    try:
        prompts.refresh()
        if settings.audit is not None and secret is not None:
            server.audit = AuditLog(settings.audit, secret=secret)
    except BaseException:
        server.close()
        raise
    return server
