"""What answers notes: the backbone here, another engine, or a running server; and how very many are worked through."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from clinprompt.stages.methods import Settings


class EngineSettings(Settings):
    """What runs the network: ``local`` the backbone in this process, ``openai`` a server at ``url``.

    The server is an OpenAI-compatible one that was started with the prompt-token checkpoint in the folder
    ``checkpoint``, whose weights need not be here; ``model`` is what it calls it (empty: its only model, or the one
    named like the folder). A key is read from ``key_file``, else from the environment variable that ``key_variable``
    names. ``at_once`` requests are under way together, each for at most ``timeout`` seconds, sent again up to
    ``retries`` times when the server is busy. Addresses that are not on this machine need ``allow_remote``.
    """

    kind: Literal["local", "openai"] = "local"
    url: str = "http://127.0.0.1:8000/v1"
    checkpoint: Path | None = None
    model: str = ""
    key_file: Path | None = None
    key_variable: str = "CLINPROMPT_ENGINE_KEY"
    at_once: int = Field(16, ge=1, le=1024)
    timeout: float = Field(300.0, gt=0)
    retries: int = Field(6, ge=0, le=100)
    allow_remote: bool = False

    @model_validator(mode="after")
    def _of_one_kind(self) -> EngineSettings:
        if self.kind == "openai" and self.checkpoint is None:
            raise ValueError("engine openai needs the folder of the prompt-token checkpoint (`--checkpoint DIR`), made "
                             "by `clinprompt export --to prompt-tokens`")  # fmt: skip
        plain = {name: field.default for name, field in type(self).model_fields.items()}
        given = {name for name in plain if getattr(self, name) != plain[name]}  # also after being written out whole
        if self.kind == "local" and given:
            raise ValueError(f"{', '.join(sorted(given))}: for another engine; give `--engine openai`")
        return self


class ServerSettings(Settings):
    """A running clinprompt server that answers notes.

    ``key`` is a file with its key, else the environment variable CLINPROMPT_KEY is looked at. ``at_once`` requests are
    on their way together, each given ``timeout`` seconds; a server that is gone is waited for ``patience`` seconds.
    Addresses that are not on this machine need ``allow_remote``.
    """

    url: str
    key: Path | None = None
    at_once: int = Field(8, ge=1, le=256)
    timeout: float = Field(600.0, gt=0)
    patience: float = Field(300.0, ge=0)
    allow_remote: bool = False


class BatchSettings(Settings):
    """How very many notes are worked through: in shards of ``shard`` notes, each kept when it is done.

    ``share`` ``3/8`` takes every eighth shard from the third on. ``processes`` work side by side, each with the
    backbone, or with the executor ``ray`` as many actors of a Ray cluster; with a ``server`` that answers instead.
    Notes that fail are put aside, at most ``most_failed``; with ``stop_on_failure`` the first ends the run (null: where
    all notes are one shard). ``retry_failed`` tries those of a finished run again.
    """

    shard: int = Field(1000, ge=1)
    share: str = ""
    processes: int = Field(1, ge=1, le=1024)
    executor: Literal["local", "ray"] = "local"
    server: ServerSettings | None = None
    stop_on_failure: bool | None = None
    most_failed: int = Field(1000, ge=0)
    retry_failed: bool = False
