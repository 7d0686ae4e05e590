"""A server: one backbone, one bank, one engine, and what guards them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.prompts.bank import PromptBank
from clinprompt.serving.serial import SerialEngine
from clinprompt.serving.served import ServedPrompts
from clinprompt.serving.settings import ServeSettings
from clinprompt.serving.shared_reader import SharedReader
from clinprompt.serving.traffic import Traffic
from clinprompt.stages.banked import open_bank
from clinprompt.stages.opened import Opened, open_backbone


@dataclass(slots=True)
class Server:
    """What the routes of an app share. ``reader`` is there for an encoder, ``engine`` for a decoder."""

    settings: ServeSettings
    opened: Opened
    bank: PromptBank
    prompts: ServedPrompts
    traffic: Traffic
    pool: ThreadPoolExecutor
    engine: SerialEngine | None = None
    reader: SharedReader | None = None
    trouble: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)

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
            self.trouble = str(fault) or type(fault).__name__

    def close(self) -> None:
        """End the engine; what still runs is cancelled."""
        self.stopped.set()
        if self.engine is not None:
            self.engine.close(drain=0)
        if self.reader is not None:
            self.reader.close()
        self.pool.shutdown(wait=False, cancel_futures=True)


def open_server(settings: ServeSettings, *, opened: Opened | None = None) -> Server:
    """Open backbone and bank and check every promoted prompt; :class:`InputError` for what cannot be opened."""
    opened = opened or open_backbone(settings.backbone)
    bank = open_bank(settings.bank, key=settings.bank_key)
    limits = settings.limits
    engine = reader = None
    if isinstance(opened.backbone, EncoderBackbone):
        reader = SharedReader(opened.predictor(settings.decoding, tokens=settings.answer_tokens))
        call = reader.call
    else:
        engine = SerialEngine(opened.backbone, rows=limits.rows, tokens=limits.batch, waiting=limits.waiting)
        call = engine.call
    server = Server(
        settings=settings,
        opened=opened,
        bank=bank,
        prompts=ServedPrompts(bank, opened, call=call),
        traffic=Traffic(most=limits.requests),
        pool=ThreadPoolExecutor(limits.requests, thread_name_prefix="request"),
        engine=engine,
        reader=reader,
    )
    try:
        server.prompts.refresh()
    except BaseException:
        server.close()
        raise
    return server
