"""What a person may set of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from clinprompt.stages.configs import BackboneSettings, DecodingSettings, LongNoteSettings
from clinprompt.stages.methods import Settings


class LimitSettings(Settings):
    """How much one request, and all of them together, may ask for.

    ``body`` is in bytes, ``characters`` counts all notes of a request, ``tokens`` is the longest answer a request may
    ask for. At most ``requests`` are worked on, with ``rows`` answers written side by side and ``waiting`` more rows in
    the queue; ``batch`` tokens are run at once. A request has ``seconds``; the running ones have ``drain`` seconds to
    end when the server stops.
    """

    body: int = Field(16 * 1024**2, ge=1024)
    notes: int = Field(64, ge=1)
    characters: int = Field(2_000_000, ge=1)
    tokens: int = Field(1024, ge=1)
    requests: int = Field(128, ge=1)
    rows: int = Field(64, ge=1)
    waiting: int = Field(256, ge=1)
    batch: int = Field(8192, ge=1)
    seconds: float = Field(300, gt=0)
    drain: float = Field(30, ge=0)


class ServeSettings(Settings):
    """One backbone and one bank, answered for over HTTP.

    ``hosts`` are names besides ``host`` by which clients may call the server. Without ``keys`` everybody who reaches
    the server may use it, and nobody is an administrator unless ``open_admin``. Prompts are added from files in
    ``inbox`` only. ``watch`` is how often the bank is looked at, in seconds. ``answer_tokens`` is the longest answer
    where a request says nothing.
    """

    backbone: BackboneSettings = BackboneSettings()
    bank: Path
    bank_key: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    keys: Path | None = None
    open_admin: bool = False
    audit: Path | None = None
    inbox: Path | None = None
    watch: float = Field(1.0, gt=0)
    engine: Literal["local", "openai"] = "local"
    engine_url: str = ""
    checkpoint: Path | None = None
    window: int | None = Field(None, ge=40)
    long_notes: LongNoteSettings = LongNoteSettings()
    answer_tokens: int = Field(192, ge=1)
    decoding: DecodingSettings = DecodingSettings()
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _engine_is_whole(self) -> ServeSettings:
        outside = self.engine == "openai"
        if outside != bool(self.engine_url) or outside != (self.checkpoint is not None):
            raise ValueError("engine openai, and no other, takes an engine_url and a checkpoint")
        return self

    @model_validator(mode="after")
    def _one_row_at_a_time(self) -> ServeSettings:
        if self.decoding.kind == "beams" or self.decoding.gold_heads:
            raise ValueError("a server answers greedily or by choices; beams and gold heads are for evaluate")
        return self
