"""One set of random prompts on the embedded backbone in every form that a server takes, and notes to ask about."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.streaming import DRUGS
from clinprompt.backbones.protocol import Placement
from clinprompt.inference.reference import reference
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.tasks.catalog import load_task

TASKS = ("medications", "impression", "dose-of-drug")
LENGTH = 20
TOKENS = 24
"""Vectors of a prompt, and the longest answer."""


@dataclass(frozen=True, slots=True)
class ServedBank:
    """A folder with ``count`` prompts as a bank, as folders of peft, and as one checkpoint, also CTranslate2's."""

    folder: Path
    count: int

    @property
    def names(self) -> list[str]:
        """The prompts' names."""
        return [f"task-{number:03}" for number in range(self.count)]

    def write(self, *, checkpoint: bool) -> None:
        """Write whatever is not there; the ``checkpoint`` for CTranslate2 only where it is asked for."""
        settings = BackboneSettings()
        files = [self.folder / "files" / f"{name}.safetensors" for name in self.names]
        if not (self.folder / "peft").exists():
            opened = open_backbone(settings)
            for seed, file in enumerate(files):
                save_prompt(file, _prompt(opened, file.stem, seed))
            PromptBank(self.folder / "bank").add(files)
            given: dict[str, Any] = {"backbone": settings, "prompts": tuple(files)}
            export_prompts(ExportSettings(**given, to="peft", out=self.folder / "peft"), opened=opened)
        if checkpoint and not (self.folder / "ct2").exists():
            given = {"backbone": settings, "prompts": tuple(files), "tables": "float32"}
            export_prompts(ExportSettings(**given, out=self.folder / "checkpoint"), opened=open_backbone(settings))
            _convert(self.folder / "checkpoint", self.folder / "ct2")

    def requests(self, count: int, *, seed: int) -> list[dict[str, Any]]:
        """Bodies for ``/v1/completions``: every note another one, the tasks in turn."""
        return [
            {"model": self.names[(seed + n) % self.count], "prompt": note(1000 * seed + n), "max_tokens": TOKENS}
            for n in range(count)
        ]


def note(number: int) -> str:
    """A note of some 300 characters, made up."""
    first, second = DRUGS[number % 5], DRUGS[number // 5 % 5]
    return (
        f"Visit {number}. Admitted with fever and cough of {2 + number % 9} days. On examination chest clear, abdomen "
        f"soft. Home medicines: {first} {5 * (1 + number % 30)} mg daily, {second} {10 * (1 + number % 7)} mg twice a "
        f"day. Creatinine {1 + number % 4}.{number % 10}. Plan: stop {second}, repeat bloods tomorrow, oral fluids, "
        f"review by the team on day {number % 13}."
    )


def _prompt(opened: Opened, name: str, seed: int) -> SoftPrompt:
    """peft knows one place for a prompt, before everything, so that is where all ways have it."""
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(LENGTH, opened.backbone.hidden_size, generator=draw)
    vectors *= float(opened.backbone.embeddings.std())
    card = PromptCard(
        name=name, method="prompt-tuning", placement="prefix", length=LENGTH, trainable=vectors.numel(),
        backbone=opened.identity, template=opened.template.name, template_hash=opened.template.hash,
        task=load_task(TASKS[seed % len(TASKS)]), reference=reference(opened.backbone, vectors, Placement.prefix),
    )  # fmt: skip
    return SoftPrompt(vectors, card)


def _convert(checkpoint: Path, out: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    with patch.object(gc, "collect", int):  # the converter collects in every step, which takes seconds
        TransformersConverter(str(checkpoint)).convert(str(out), quantization="float32")
