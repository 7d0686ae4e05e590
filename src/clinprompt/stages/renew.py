"""The few-label loop: corrected notes make a new version of a bank's prompt, scored beside the one in use."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from clinprompt.data.chance import draw_number
from clinprompt.data.files import file_hash
from clinprompt.data.lock import Lock
from clinprompt.errors import InputError
from clinprompt.evaluation.score import score_task
from clinprompt.metrics import METRICS
from clinprompt.metrics.intervals import percentile_interval, resampled_values
from clinprompt.metrics.scoring import group_counts
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.banked import Banked
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, save_prompt
from clinprompt.schema.example import Example, Split
from clinprompt.schema.prediction import Prediction
from clinprompt.schema.scores import Score
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import answering, open_prompt, read_adapted
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, DecodingSettings, LongNoteSettings
from clinprompt.stages.corrections import Corrections, private
from clinprompt.stages.methods import Budget, PromptTuning, Settings
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import write_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.reading import planned, reader
from clinprompt.stages.replay import replayed, with_replay
from clinprompt.tasks.task import Task

WORK = ".work"
"""Where training data lie while a version is made, by task, in the folder of corrections; removed afterwards."""


class RenewSettings(Settings):
    """A new version of the prompt ``name`` of a bank, from the corrections of its task.

    Training goes on from the promoted version, or from ``name@version``. ``folds`` is the most parts that the notes
    which that version has not seen are divided into, to score each part by training on the rest. Of what a prompt is
    trained on, a fourth chooses the rate and the step (of a single note: the last step is kept). ``replay`` is a
    prepared folder, usually the one that the prompt was trained on, whose training examples make up ``replay_share`` of
    those that are trained on, one at least; corrections alone choose.
    """

    bank: Path
    name: str
    corrections: Path
    bank_key: Path | None = None
    backbone: BackboneSettings = BackboneSettings()
    # Step 0, the version in use, is among the steps to choose from: few notes can make a good prompt worse.
    budget: Budget = Budget(steps=60, rates=(0.003, 0.03), keep="best", dev_every=6, patience=4)
    replay: Path | None = None
    replay_share: float = Field(0.5, gt=0, lt=1)
    folds: int = 5
    answer_tokens: int = 192
    resamples: int = 2000
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions on the same ``notes``, none of which either was trained on.

    ``old`` is the version in use; ``new`` are prompts made like the new version, each without the notes it is scored
    on (``folds`` of them). ``difference`` is new minus old in points, with its paired 95 % interval.
    """

    metric: str
    notes: int
    examples: int
    folds: int
    old: Score
    new: Score
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """The version that was added, and what it was made of; ``compared`` is missing where too few notes are unseen.

    ``replayed`` counts the examples that there were to replay.
    """

    prompt: str
    before: str
    notes: int
    examples: int
    unseen: int
    replayed: int
    compared: Compared | None

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def renew(settings: RenewSettings, *, opened: Opened | None = None, progress: Progress = silent) -> Renewed:
    """Train on all corrections of the prompt's task, score by leaving notes out, add the new version to the bank.

    The new version is not promoted. Raises :class:`InputError` without corrections, and for a prompt that does not
    belong to the backbone.
    """
    bank = open_bank(settings.bank, key=settings.bank_key)
    before = bank.find(settings.name)
    task = before.card.task
    if task is None:
        raise InputError("this is a metaprompt, which answers no task by itself", where=before.reference)
    corrections = Corrections(settings.corrections)
    kept = {name: corrections.read(task.name, name) for name in corrections.ids(task.name)}
    notes = {name: correction.examples(task) for name, correction in kept.items()}
    if not notes:
        raise InputError("there are no corrections of this task", where=f"{settings.corrections}, task {task.name}",
                         fix="correct notes on the page and save them first")  # fmt: skip
    opened = (opened or open_backbone(settings.backbone)).templated(before.card.template)
    opened = opened.suited("prompt-tuning", [task])
    everything = [example for found in notes.values() for example in found]
    replay = replayed(settings.replay, task, corrected=everything, seed=settings.seed) if settings.replay else []
    seen = corrections.seen(task.name, before)
    # A note that was corrected again since scores nothing either: the version in use has learnt its first answer.
    parts = _folds({name: found for name, found in notes.items() if name not in seen}, settings)
    if len(parts) == 1 and not seen:  # nothing would be left to train on
        parts = []
    work = private(private(settings.corrections) / WORK) / task.name
    with _alone(work, what=f"a new version of {before.name}"):
        shutil.rmtree(work, ignore_errors=True)
        try:
            prompts = _trained(settings, opened, before, task, notes, parts, replay, private(work), progress)
            compared = _compared(settings, opened, bank, before, task, parts, prompts, progress) if parts else None
            file = _written(work / "new.safetensors", before, prompts[-1], compared)
            contents = {name: correction.content for name, correction in kept.items()}
            corrections.tell_seen(task.name, file_hash(file), {**seen, **contents})
            made = add_prompts(bank, [file], name=before.name)[0]
        finally:
            shutil.rmtree(work, ignore_errors=True)
    unseen = len(set(notes) - set(seen))
    return Renewed(made.reference, before.reference, len(notes), len(everything), unseen, len(replay), compared)


def remove_left(corrections: Path) -> None:
    """Remove the copies of corrected notes of whoever was killed; those that are in use stay."""
    for work in sorted((corrections / WORK).glob("[!.]*")):
        # What cannot be removed now is left to the next one who tries.
        with suppress(InputError, OSError), _alone(work, what="these notes"):
            shutil.rmtree(work)


def _alone(work: Path, *, what: str) -> AbstractContextManager[None]:
    """The only one who works in a folder, for the length of a ``with``."""
    return Lock(work.with_name(f".{work.name}.lock"), what=what).waited_for(0)


def _folds(unseen: Mapping[str, list[Example]], settings: RenewSettings) -> list[list[Example]]:
    """Unseen examples in parts that divide no patient: none when there is nothing to leave out."""
    groups: dict[str, list[Example]] = {}
    for found in unseen.values():
        for example in found:
            groups.setdefault(example.group, []).append(example)
    order = sorted(groups, key=lambda group: (draw_number("fold", settings.seed, group), group))
    count = min(settings.folds, len(order))
    return [[example for group in order[k::count] for example in groups[group]] for k in range(count)]


def _trained(
    settings: RenewSettings,
    opened: Opened,
    before: Banked,
    task: Task,
    notes: Mapping[str, list[Example]],
    parts: Sequence[Sequence[Example]],
    replay: Sequence[Example],
    work: Path,
    progress: Progress,
) -> list[SoftPrompt]:
    """A prompt without each part, and last the one of all notes: side by side in one gang."""
    everything = [example for found in notes.values() for example in found]
    targets = []
    for k, part in enumerate([*parts, ()], 1):
        left_out = {example.group for example in part}
        train = _with_dev([example for example in everything if example.group not in left_out], seed=settings.seed)
        train = with_replay(train, replay, share=settings.replay_share)
        name = f"{task.name}-without-{k}" if part else task.name
        write_prepared(work / f"data-{k}", task.model_copy(update={"name": name}), train, reader="corrections")
        targets.append(work / f"data-{k}")
    run = adapt(
        AdaptSettings(
            backbone=settings.backbone.model_copy(update={"template": opened.template.name}),
            targets=tuple(targets),
            method=PromptTuning(budget=_budget(settings.budget, notes)),
            start_from=before.path,
            seed=settings.seed,
        ),
        runs=work,
        opened=opened,
        progress=progress,
    )
    return [load_prompt(run.outputs / cell.file, backbone=opened.identity) for cell in read_adapted(run.outputs)]


def _with_dev(examples: Sequence[Example], *, seed: int) -> list[tuple[Split, Example]]:
    """The examples, those of every fourth patient (of the last, where there are fewer than four) for choosing."""
    groups = sorted({one.group for one in examples}, key=lambda group: (draw_number("choose", seed, group), group))
    chosen = set(groups[3::4] or groups[1:][-1:])
    return [(Split.dev if one.group in chosen else Split.train, one) for one in examples]


def _budget(budget: Budget, notes: Mapping[str, list[Example]]) -> Budget:
    """The budget, which cannot choose anything where some prompt is trained on a single patient."""
    groups = {example.group for found in notes.values() for example in found}
    if len(groups) > 2:
        return budget
    return budget.model_copy(update={"keep": "last", "rates": budget.rates[:1]})


def _compared(
    settings: RenewSettings,
    opened: Opened,
    bank: PromptBank,
    before: Banked,
    task: Task,
    parts: Sequence[Sequence[Example]],
    prompts: Sequence[SoftPrompt],
    progress: Progress,
) -> Compared:
    examples = [example for part in parts for example in part]
    old_prompt = open_prompt(before.path, opened)
    with progress("score", 2 * len(examples)) as advance:

        def said(prompt: SoftPrompt, asked: Sequence[Example]) -> list[Prediction]:
            found = _answers(settings, opened, prompt, task, asked)
            advance(len(asked))
            return found

        old = said(old_prompt, examples)
        new = [one for prompt, part in zip(prompts, parts, strict=False) for one in said(prompt, part)]
    metric = METRICS[task.metrics[0]](task.labels)
    values = []
    for predictions in (old, new):
        counts, _ = group_counts(metric, examples, predictions)
        values.append(resampled_values(counts, metric.value, resamples=settings.resamples))
    low, high = percentile_interval(values[1] - values[0])
    one, two = (score_task(task, examples, found, resamples=settings.resamples).primary for found in (old, new))
    notes = len({example.document or example.id for example in examples})
    return Compared(metric.name, notes, len(examples), len(parts), one, two, two.value - one.value, low, high)


def _answers(
    settings: RenewSettings, opened: Opened, prompt: SoftPrompt, task: Task, examples: Sequence[Example]
) -> list[Prediction]:
    long = LongNoteSettings()
    notes = reader(opened.predictor(DecodingSettings(), tokens=settings.answer_tokens), long)
    window = task.data.window if task.data else None
    questions = [
        answering(prompt).question(example, task, opened.template, name=prompt.card.name) for example in examples
    ]
    plans = [planned(notes, question, long, longest=window, extent=prompt.card.extent) for question in questions]
    return notes.answers(plans)


def _written(file: Path, before: Banked, prompt: SoftPrompt, compared: Compared | None) -> Path:
    scores = ({"from": before.reference, **asdict(compared)},) if compared else ()
    sources = (*prompt.card.lineage.sources, before.reference)
    extent = max(before.card.extent or 0, prompt.card.extent or 0) or None
    lineage = prompt.card.lineage.model_copy(update={"sources": sources, "run": ""})
    card = prompt.card.model_copy(update={"scores": scores, "lineage": lineage, "extent": extent})
    save_prompt(file, replace(prompt, card=card))
    return file
