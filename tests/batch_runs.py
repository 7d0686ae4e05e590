"""Runs of `predict` over many small notes on a tiny random backbone, in this process or in one that can be killed."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from unittest.mock import patch

from clinprompt.inference.engines.local import LocalEngine
from clinprompt.stages.configs import BackboneSettings, PredictSettings
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.predict import predict
from tests.made_backbones import tiny_folder
from tests.made_notes import DRUGS
from tests.made_prompts import write_random_prompt

COUNT, SHARD = 11, 3


@cache
def opened(backbone: str) -> Opened:
    """A backbone, loaded once in each process."""
    return open_backbone(BackboneSettings(path=backbone))


def made_backbone(folder: Path) -> Path:
    """A tiny backbone and a prompt of an entity and of a class task for it, in one folder."""
    tiny_folder(folder / "tiny", seed=7)
    for seed, task in enumerate(("medications", "problem-mentioned")):
        made = opened(str(folder / "tiny"))
        write_random_prompt(folder / f"{task}.safetensors", made, task=task, placement="suffix", seed=seed)
    return folder


def note_text(number: int) -> str:
    """A short note that is like no other."""
    return f"Note {number}: {DRUGS[number % 4]} {number + 1} mg.\r\nGiven to patient {number}."


def write_lines(path: Path, count: int = COUNT) -> Path:
    """A file of JSON Lines with so many notes."""
    lines = ({"id": f"n{number}", "text": note_text(number)} for number in range(count))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def batch_settings(models: Path, notes: Path, out: Path, **more: object) -> PredictSettings:
    """Entities of every note, in shards of three; ``more`` are settings, those of the batch in ``batch``."""
    given = {"reader": "jsonl" if notes.is_file() else "plain", "writer": "jsonl", "answer_tokens": 3} | more
    return PredictSettings(
        backbone=BackboneSettings(path=str(models / "tiny")),
        prompts=(models / "medications.safetensors",), notes=notes, out=out,
        **{**given, "batch": {"shard": SHARD, **given.get("batch", {})}},
    )  # fmt: skip


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too, by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def run_here(settings: str, die_at: int = 0, steps: str = "") -> None:
    """Predict in this process; with ``die_at`` it ends without warning before that change of the file system."""
    read = PredictSettings.model_validate_json(settings)
    with patch.object(LocalEngine, "answers", counting(Path(steps))) if steps else patch("os.getpid", os.getpid):
        if die_at:
            _die_at(die_at)
        predict(read, opened=opened(read.backbone.path))


def counting(log: Path):
    """The engine's own answers, with the number of rows of every call added to a file."""
    true = LocalEngine.answers

    def answers(self, requests, generation, **more):
        found = true(self, requests, generation, **more)
        with log.open("a") as stream:
            stream.write(f"{len(requests)}\n")
        return found

    return answers


def _die_at(change: int) -> None:
    left = change

    def dying(true):
        def call(*given, **more):
            nonlocal left
            left -= 1
            if not left:
                os._exit(9)
            return true(*given, **more)

        return call

    for name in ("replace", "rename", "unlink", "rmdir", "mkdir", "fsync"):
        setattr(os, name, dying(getattr(os, name)))
