"""An encoder opened for a stage: what a decoder is asked, with questions and places in place of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.backbones.heads import new_heads
from clinprompt.backbones.protocol import Placement, PromptVectors, ReadingRow
from clinprompt.errors import InputError
from clinprompt.inference.engines.engine import Engine
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.maths.thresholds import best_threshold
from clinprompt.registry import unknown_name
from clinprompt.schema.example import Example
from clinprompt.stages.configs import DecodingSettings
from clinprompt.stages.opened import Opened
from clinprompt.tasks.formulations.asks import asks_twice, can_be_read
from clinprompt.tasks.formulations.reading import training_questions
from clinprompt.tasks.formulations.unaskable import Unaskable, unaskable
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import READING, READING_LABEL, READING_WORDS, Template
from clinprompt.training.method import method
from clinprompt.training.seeds import derive


@dataclass(frozen=True, slots=True)
class OpenedEncoder(Opened):
    """A loaded encoder; its template is the wording of its questions, ``asked`` for by the settings or the method's."""

    reads: ClassVar[bool] = True
    backbone: EncoderBackbone
    template: Template = READING_LABEL
    head_width: int = 256
    asked: bool = False

    def predictor(self, decoding: DecodingSettings, *, tokens: int, engine: Engine | None = None) -> ReadingPredictor:
        """A predictor for the weights as they are now; ``tokens`` and ``engine`` are for written answers."""
        return ReadingPredictor(self.backbone, gold_heads=decoding.gold_heads, flat=decoding.flat)

    def check_decoding(self, decoding: DecodingSettings, *, tokens: bool = False) -> None:
        """Raise :class:`InputError` for what says how answers are written."""
        written = ("kind", "grounded", "beams", "length_penalty", "stop")
        given = [f"decoding.{name}" for name in written if getattr(decoding, name) != getattr(DecodingSettings(), name)]
        if given := given + ["answer_tokens"] * tokens:
            raise InputError(
                f"{', '.join(given)}: for decoders, which write answers; {self.backbone.name} is an encoder, which "
                "finds places in the note",
                where=given[0],
                fix="leave it out, or give a decoder as --backbone",
            )

    def check_placement(self, *placements: str | None) -> None:
        """Every placement is one of an encoder's prompts."""

    def unconstrained(self, decoding: DecodingSettings) -> str:
        """Empty: answers are places in the note by construction."""
        return ""

    def rows(self, examples: Sequence[Example], task: Task, *, reserve: int) -> list[ReadingRow]:
        """A row per question of each example; ``reserve`` is the prompt's length."""
        return [
            self.backbone.ask(question, name=example.id, reserve=reserve)
            for example in examples
            for question in training_questions(example, task, wording=self.template.wording)
        ]

    def training_rows(
        self, examples: Sequence[Example], task: Task, *, reserve: int, impossible: float | None, seed: int
    ) -> list[ReadingRow]:
        """The rows of ``examples``, of those without an answer at most ``impossible`` for each with one, by seed.

        Where no question has an answer all stay.
        """
        rows = self.rows(examples, task, reserve=reserve)
        without = [n for n, row in enumerate(rows) if not row.gold]
        if impossible is None or len(without) == len(rows):
            return rows
        most = int(impossible * (len(rows) - len(without)))
        drawn = np.random.default_rng(derive(seed, "impossible")).permutation(without)[most:]
        left_out = set(drawn.tolist())
        return [row for n, row in enumerate(rows) if n not in left_out]

    def settled(
        self, vectors: Tensor, heads: Mapping[str, Tensor], rows: Sequence[ReadingRow], *, placement: str
    ) -> Mapping[str, Tensor]:
        """The scorers with their edge biases moved so that answers to ``rows`` (of the dev part) have the highest F1.

        Scorers that saw few answers put all of them below one half, though the best above the rest.
        """
        prompts = PromptVectors(
            vectors[None].to(self.backbone.device),
            Placement(placement),
            owner=(0,) * len(rows),
            heads={name: value[None] for name, value in heads.items()},
        )
        scores, right = self.backbone.pair_scores(rows, prompts)
        threshold = best_threshold(scores, right, answers=sum(len(row.gold) for row in rows))
        return {**heads, "edge_bias": heads["edge_bias"] - threshold}

    def unaskable(self, examples: Sequence[Example], task: Task) -> Unaskable:
        """What of the answers no question can have as its answer."""
        return sum((unaskable(one, task, borders=self.backbone.borders(one.note)) for one in examples), Unaskable())

    def suited(self, kind: str, tasks: Sequence[Task]) -> OpenedEncoder:
        """With the wording that a method asks in.

        Raises :class:`InputError` for a method without encoders, and for tasks that have no places for answers.
        """
        row = method(kind)
        if row.backbones == "decoder":
            raise InputError(
                f"{kind} needs a model that writes, and {self.backbone.name} is an encoder",
                where="method",
                fix="take another method or a decoder as --backbone",
            )
        for task in tasks:
            if not can_be_read(task):
                raise InputError(
                    f"{self.backbone.name} is an encoder and answers with places in the note, and the answers of this "
                    "task are something else",
                    where=f"task {task.name}",
                    allowed="entities, relations, and questions whose answer is a quote",
                    fix="take a decoder as --backbone for it",
                )
        own = READING_WORDS if row.prompt == "words" else READING_LABEL
        return self if self.asked else replace(self, template=own)

    def templated(self, name: str) -> OpenedEncoder:
        """With the wording of this name, as cards keep it."""
        if name not in READING:
            raise unknown_name("template", name, READING)
        return replace(self, template=READING[name])

    def asks_twice(self, task: Task) -> bool:
        """Whether relations are asked about mentions that are found first."""
        return asks_twice(task)

    def heads(self, seeds: Sequence[int], *, start: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Span scorers side by side, one per seed: new ones, or copies of ``start`` (without member dimension)."""
        if start:
            return {name: torch.stack([tensor] * len(seeds)) for name, tensor in start.items()}
        drawn = [new_heads(1, self.backbone.hidden_size, self.head_width, derive(seed, "heads")) for seed in seeds]
        return {name: torch.cat([one[name] for one in drawn]) for name in drawn[0]}
