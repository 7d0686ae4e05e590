"""What a person may set of a server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from clinprompt.stages.configs import BackboneSettings, DecodingSettings, LongNoteSettings
from clinprompt.stages.engine_settings import EngineSettings
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
    """One backbone (here, or in an ``engine`` elsewhere) and one bank, answered for over HTTP.

    ``hosts`` are names besides ``host`` by which clients may call the server. Without ``keys`` everybody on this
    machine may do everything, and the server answers no other machine unless ``open``. ``audit_secret`` (beside the log
    unless named) seals the log and is made when it is not there. Prompts are added from files in ``inbox`` only.
    Corrected notes are kept, in clear text, in the folder ``corrections``, and nowhere without it; folder ``replay``
    holds prepared data by task, which may be practised beside them. ``watch`` is how often the bank is looked at, in
    seconds. ``answer_tokens`` is the longest answer where a request says nothing.
    """

    backbone: BackboneSettings = BackboneSettings()
    engine: EngineSettings = EngineSettings()
    bank: Path
    bank_key: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    keys: Path | None = None
    open: bool = False
    audit: Path | None = None
    audit_secret: Path | None = None
    inbox: Path | None = None
    corrections: Path | None = None
    replay: Path | None = None
    watch: float = Field(1.0, gt=0)
    window: int | None = Field(None, ge=40)
    long_notes: LongNoteSettings = LongNoteSettings()
    answer_tokens: int = Field(192, ge=1)
    decoding: DecodingSettings = DecodingSettings()
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _is_guarded(self) -> ServeSettings:
        if self.keys is None and not self.open and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                "other machines reach this host: give keys (`clinprompt keys add`), or open=true to let everybody in"
            )
        return self

    @model_validator(mode="after")
    def _one_row_at_a_time(self) -> ServeSettings:
        if self.decoding.kind == "beams" or self.decoding.gold_heads:
            raise ValueError("a server answers greedily or by choices; beams and gold heads are for evaluate")
        return self
