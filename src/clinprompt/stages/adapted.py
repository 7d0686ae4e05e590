"""What an adapt run made: one record per target, shot count and draw, and the file that holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from clinprompt.backbones.protocol import Placement
from clinprompt.data.fewshot import draw
from clinprompt.data.store import read_examples
from clinprompt.errors import InputError
from clinprompt.inference.predictor import Question
from clinprompt.inference.reference import check_reference
from clinprompt.prompts.card import BackboneIdentity
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, read_card
from clinprompt.schema.example import Example, Split
from clinprompt.stages.atomic import write_json
from clinprompt.stages.banked import check_alone
from clinprompt.stages.cells import Cell
from clinprompt.stages.opened import Opened
from clinprompt.stages.prepared import Prepared
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import Template
from clinprompt.training.lora import low_rank_applied
from clinprompt.training.method import method
from clinprompt.training.weights import weights_applied

FILE = "cells.json"
BESIDE = "prompt.safetensors"
"""Scorers, and the prompt, that belong to weights in the same folder."""
SHOWN = "examples.txt"
"""The text that stands before every note, beside the examples that it is made of."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """One finished cell. ``file`` is relative to the run's outputs; empty when nothing was trained.

    ``failed`` says why there is nothing to score: no learning rate could train it, or (``undrawn``) there are fewer
    examples than its shots.

    ``fold_losses`` are the mean losses of cross-validation by learning rate, ``None`` for a rate that diverged.
    ``weights`` are what a finished mixture has of each source or expert, by segments of its vectors. ``source`` is the
    source task whose prompt the cell began with, ``shown`` how many training examples stand before every note.
    ``border`` says from where on an encoder answers, in words.
    """

    task: str
    shots: str
    draw: int
    seed: int
    method: str
    trainable: int
    rate: float | None = None
    loss: float | None = None
    dev_loss: float | None = None
    train_examples: int = 0
    factors: str = ""
    file: str = ""
    fold_losses: Mapping[str, float | None] = field(default_factory=dict, hash=False)
    failed: str = ""
    undrawn: bool = False
    weights: Mapping[str, list[float]] = field(default_factory=dict, hash=False)
    source: str = ""
    shown: int | None = None
    border: str = ""

    @property
    def key(self) -> str:
        """Name of the cell's folder: task, shots and draw."""
        return cell_key(self.task, self.shots, self.draw)

    @property
    def is_prompt(self) -> bool:
        """Whether the cell's file is a finished prompt, not weights."""
        return bool(self.file) and method(self.method).gangs


@dataclass(frozen=True, slots=True)
class Plan:
    """One cell to train: which target, how many shots, which draw, and its examples.

    ``undrawn`` says why it has none although it should.
    """

    prepared: Prepared
    shots: str
    draw: int
    cell: Cell
    undrawn: InputError | None = None

    def lost(self, reason: InputError, *, seed: int, method: str) -> Adapted:
        """The record of the cell when it could not be trained."""
        failed = f"{reason.what}; {reason.fix}" if reason.fix else reason.what
        name, undrawn = self.cell.task.name, reason is self.undrawn
        return Adapted(name, self.shots, self.draw, seed, method, trainable=0, failed=failed, undrawn=undrawn)


def cell_key(task: str, shots: str, draw: int) -> str:
    """``task/full`` or ``task/k5-d0``."""
    return f"{task}/full" if shots == "full" else f"{task}/k{shots}-d{draw}"


def plan_cells(
    prepared: Sequence[Prepared], *, shots: Sequence[int | str], draws: Sequence[int], seed: int
) -> list[Plan]:
    """Every target × shot count × numbered draw; a draw is the same for every method and seed of training.

    A cell that asks for more examples than there are is ``undrawn``, and the others have theirs.
    """
    plans = []
    for item in prepared:
        train, dev = item.part(Split.train), item.part(Split.dev)
        for count in shots:
            for number in (0,) if count in ("full", 0) else draws:
                chosen, undrawn = train, None
                if count != "full":
                    try:
                        chosen = draw(train, k=int(count), seed=item.draw_seed, draw=number)
                    except InputError as fault:
                        chosen, undrawn = [], fault
                key = cell_key(item.task.name, str(count), number)
                plans.append(Plan(item, str(count), number, Cell(key, item.task, chosen, dev, seed), undrawn))
    return plans


def write_adapted(outputs: Path, cells: Sequence[Adapted]) -> None:
    """Write the list of a run's cells."""
    write_json(outputs / FILE, {"cells": [asdict(cell) for cell in cells]})


def open_adapted(path: Path, backbone: BackboneIdentity) -> tuple[Path, list[Adapted]]:
    """The cells of an adapt run, or the one cell that a prompt file is, and the folder their files lie in.

    Raises :class:`InputError` for anything else, and for a run that was made on another backbone.
    """
    if path.is_file():
        card = read_card(path)
        if card.task is None:
            raise InputError("this file holds a metaprompt, not a task's prompt", where=str(path))
        check_alone(card, where=str(path))
        shots = "full" if card.lineage.shots is None else str(card.lineage.shots)
        seed = card.lineage.seed or 0
        return path.parent, [Adapted(card.task.name, shots, 0, seed, card.method, card.trainable, file=path.name)]
    if not (path / "outputs" / FILE).is_file():
        raise InputError(
            "this is neither a prompt file nor a run of `clinprompt adapt`", where=str(path), fix="check the path"
        )
    made_on = json.loads((path / "inputs.json").read_text(encoding="utf-8"))["inputs"]["backbone"]["sha256"]
    if made_on != backbone.fingerprint:
        raise InputError(
            f"the run was made on the backbone {made_on}, this one is {backbone.name} ({backbone.fingerprint})",
            where=str(path),
            fix="give --backbone the one that the run's config.yaml names",
        )
    return path / "outputs", read_adapted(path / "outputs")


def read_adapted(outputs: Path) -> list[Adapted]:
    """Read the list of a run's cells."""
    content = json.loads((outputs / FILE).read_text(encoding="utf-8"))
    return [Adapted(**cell) for cell in content["cells"]]


def open_prompt(path: Path, opened: Opened) -> SoftPrompt:
    """A finished prompt that belongs to the backbone and acts on it as it did when it was made.

    Where there is no such file it may be the name of a prompt that the engine holds. Raises :class:`InputError` for
    one that belongs to weights which were trained with it.
    """
    held = None if path.exists() else opened.held(str(path))
    prompt = held or load_prompt(path, backbone=opened.identity)
    check_alone(prompt.card, where=str(path))
    opened.check(prompt, where=str(path))
    return prompt


def run_prompt(path: Path) -> Path:
    """The prompt file of an adapt run, which of an encoder may lie beside trained weights; other paths as they are.

    Raises :class:`InputError` for a run of several prompts, and for one of none.
    """
    outputs = path / "outputs"
    if not (outputs / FILE).is_file():
        return path
    files = [outputs / cell.key / BESIDE for cell in read_adapted(outputs) if (outputs / cell.key / BESIDE).is_file()]
    if not files:
        raise InputError(
            "this run has no prompt: weights of a decoder that were trained, or examples, can be scored only",
            where=str(path),
            fix="score it with `clinprompt evaluate`, or adapt with a method on the frozen backbone",
        )
    if len(files) > 1:
        raise InputError(
            f"this run has {len(files)} prompts",
            where=str(path),
            allowed=", ".join(map(str, files[:10])),
            fix="give the file of one",
        )
    return files[0]


@contextmanager
def prompt_applied(path: Path, opened: Opened) -> Iterator[SoftPrompt]:
    """A prompt as :func:`open_prompt` has it; an encoder has the weights beside it, for the length of a ``with``."""
    kind = read_card(path).method if opened.reads else ""
    beside = path.with_name("lora" if kind == "lora" else "weights.safetensors")
    if not kind or method(kind).weights == "frozen" or not beside.exists():
        yield open_prompt(path, opened)
        return
    prompt = load_prompt(path, backbone=opened.identity)
    with _changed(opened, kind, beside):
        opened.check(prompt, where=str(path))
        yield prompt


@dataclass(frozen=True, slots=True)
class Applied:
    """What answers a cell's questions beside the backbone as it is: a prompt or none, and an encoder's scorers.

    ``shown`` are worked examples that stand before the note.
    """

    vectors: Tensor | None = None
    placement: Placement = Placement.suffix
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    shown: tuple[Example, ...] = ()

    def question(self, example: Example, task: Task, template: Template, *, name: str) -> Question:
        """The question about one example, put as the template says."""
        return Question(
            example, task, self.vectors, self.placement, name, self.heads, wording=template.wording, shown=self.shown
        )


def answering(prompt: SoftPrompt) -> Applied:
    """What a finished prompt answers with."""
    return Applied(prompt.vectors, Placement(prompt.card.placement), prompt.heads)


@contextmanager
def applied(opened: Opened, outputs: Path, cell: Adapted) -> Iterator[Applied]:
    """The backbone as the cell left it, for the length of a ``with``, and what goes with it."""
    path = outputs / cell.file
    if not cell.file:
        yield Applied(heads={name: tensor[0] for name, tensor in opened.heads([0]).items()})
    elif method(cell.method).prompt == "examples":
        yield Applied(shown=tuple(read_examples(path)))
    elif method(cell.method).weights == "frozen":
        prompt = open_prompt(path, opened)
        check_template(prompt.card, opened.template.name, opened.template.hash, where=str(path))
        yield answering(prompt)
    else:
        with _changed(opened, cell.method, path):
            yield _beside(path.with_name(BESIDE), opened)


def _changed(opened: Opened, kind: str, path: Path) -> AbstractContextManager[None]:
    """The backbone with the weights that a method of this kind trained, for the length of a ``with``."""
    return (low_rank_applied if kind == "lora" else weights_applied)(opened.backbone, path)


def _beside(path: Path, opened: Opened) -> Applied:
    if not path.is_file():
        return Applied()
    prompt = load_prompt(path, backbone=opened.identity)
    check_template(prompt.card, opened.template.name, opened.template.hash, where=str(path))
    check_reference(opened.backbone, prompt, where=str(path))
    return answering(prompt)
