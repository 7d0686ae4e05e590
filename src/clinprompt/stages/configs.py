"""What a person may set of each stage; configs stop here, the floors below take plain arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from clinprompt.data.limit import Limits
from clinprompt.maths.decomposition import Shift
from clinprompt.maths.mixture import Mixing
from clinprompt.stages.engine_settings import BatchSettings, EngineSettings
from clinprompt.stages.methods import (
    Budget,
    MethodSettings,
    Mpt,
    PromptTuning,
    Settings,
    from_metaprompt,
    from_teachers,
    needs_teachers,
)
from clinprompt.training.method import method


class BackboneSettings(Settings):
    """Which backbone, in which precision and where it runs, and how tasks are put to it.

    ``weights`` keeps the frozen linear layers in fewer bits, ``device`` ``spread`` divides the layers over all
    accelerators, ``sharded`` the weights of each layer among the processes of torchrun, ``recompute`` keeps one state
    per layer in training and computes the rest twice, ``compiled`` has torch compile the layers. Notes that were read
    once are kept in ``note_memory`` MiB, and in ``note_folder`` for later runs. ``template`` is a name of
    `clinprompt show templates` or ``chat``, the backbone's own chat template; of encoders ``reading-label`` or
    ``reading-words``, the wording of questions (null: the method's). ``head_width`` is the width of their span matcher.
    """

    path: str = "embedded"
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    autocast: Literal["none", "bfloat16", "float16"] = "none"
    weights: Literal["full", "int8", "nf4"] = "full"
    device: str = "auto"
    sharded: bool = False
    recompute: bool = False
    compiled: bool = False
    note_memory: int = Field(2048, ge=0)
    note_folder: Path | None = None
    template: str | None = None
    head_width: int = Field(256, ge=1)


class PromptSettings(Settings):
    """Shape and place of a prompt; ``apart`` is for encoders, ``layers: every`` has vectors in all layers."""

    length: int = Field(16, ge=1, le=4096)
    placement: Literal["prefix", "suffix", "both", "apart"] = "suffix"
    layers: Literal["input", "every"] = Field("input", exclude_if=lambda layers: layers == "input")


class PrepareSettings(Settings):
    """One task's data: from a corpus to parts on disk, without documents of the test parts of tasks ``apart_from``."""

    task: str
    data_root: Path | None = None
    limits: Limits = Field(default_factory=dict)
    # Left out of what is dumped where there are none: such runs keep their names.
    apart_from: tuple[Path, ...] = Field((), exclude_if=lambda paths: not paths)


class TeachSettings(Settings):
    """One teacher prompt per source task, trained side by side."""

    backbone: BackboneSettings = BackboneSettings()
    sources: tuple[Path, ...] = Field(min_length=1)
    prompt: PromptSettings = PromptSettings()
    start: Literal["text", "vocabulary"] = "text"
    budget: Budget = Budget(keep="best")
    seed: int = 1


class DistillSettings(Settings):
    """Teachers to one metaprompt and a factor pair per task.

    Loss = answer + ``weight`` · (T² KL(teacher ‖ student) + hidden distance), answer tokens only.
    ``weight`` 0 is multitask training without distillation. The papers' λ, T, layers, rank and start are not public.
    Of each distribution of a teacher the ``teacher_top_k`` likeliest tokens are kept and the rest as one (null: all).

    Without ``teachers`` (``weight`` 0 and another ``start``) the metaprompt has the shape that ``prompt`` says, with
    them theirs. Factors act on the metaprompt by ``shift``, as a product or added to it; not ``decomposed``, one prompt
    is learned for all tasks and there are no factors.
    """

    backbone: BackboneSettings = BackboneSettings()
    teachers: Path | None = None
    sources: tuple[Path, ...] = Field(min_length=1)
    rank: int = Field(1, ge=1)
    start: Literal["vocabulary", "text", "teachers"] = "teachers"
    weight: float = Field(1.0, ge=0)
    temperature: float = Field(1.0, gt=0)
    hidden_layers: tuple[int, ...] = (-1,)
    teacher_top_k: int | None = Field(256, ge=1)
    mixing: Mixing = "proportional"
    mixing_cap: int = Field(2**18, ge=1)
    mixing_temperature: float = Field(2.0, gt=0)
    budget: Budget = Budget(batch=24, keep="best")
    factor_rate: float = Field(0.1, gt=0)
    # As with `apart_from`, runs without these three keep their names.
    prompt: PromptSettings | None = Field(None, exclude_if=lambda prompt: prompt is None)
    decomposed: bool = Field(True, exclude_if=lambda value: value)
    shift: Shift = Field("product", exclude_if=lambda shift: shift == "product")
    seed: int = 1

    @model_validator(mode="after")
    def _teachers_where_they_are_needed(self) -> DistillSettings:
        if self.teachers is None and needs_teachers(self.weight, self.start):
            raise ValueError(
                "`teachers`, a run of `clinprompt teach`, are missing; without them set `weight` to 0 and `start` to "
                "vocabulary or text"
            )
        if self.teachers is not None and self.prompt is not None:
            raise ValueError("the metaprompt has its teachers' length and placement; leave `prompt` out")
        if not self.decomposed and (self.rank != 1 or self.shift != "product"):
            raise ValueError("`rank` and `shift` say how factors are; without decomposition there are none")
        return self


class AdaptSettings(Settings):
    """One method on every target, shot count and draw. A shot count of ``full`` uses all training examples.

    ``draws`` few-shot draws are taken, the first of them numbered ``first_draw``. With ``start_from``, a prompt file or
    ``BANK:NAME[@VERSION]``, prompt tuning goes on from that prompt, with its length and placement. ``teachers`` is the
    run that taught the sources' prompts, for methods that start from these.
    """

    backbone: BackboneSettings = BackboneSettings()
    targets: tuple[Path, ...] = Field(min_length=1)
    method: MethodSettings = Field(default_factory=Mpt)
    metaprompt: Path | None = None
    teachers: Path | None = Field(None, exclude_if=lambda path: path is None)
    start_from: Path | None = Field(None, exclude_if=lambda path: path is None)
    prompt: PromptSettings = PromptSettings()
    shots: tuple[int | Literal["full"], ...] = Field(("full",), min_length=1)
    draws: int = Field(1, ge=1)
    first_draw: int = Field(0, ge=0)
    seed: int = 1

    @model_validator(mode="after")
    def _weights_can_be_trained(self) -> AdaptSettings:
        if method(self.method.kind).weights == "all" and self.backbone.weights != "full":
            raise ValueError("weights in fewer bits cannot be fine-tuned; set backbone.weights to full")
        return self

    @model_validator(mode="after")
    def _start_is_a_prompt(self) -> AdaptSettings:
        free = isinstance(self.method, PromptTuning) and self.method.encoder == "none"
        if self.start_from is not None and not free:
            raise ValueError("`start_from` goes with method prompt-tuning without an `encoder`; leave one of them out")
        return self

    @model_validator(mode="after")
    def _metaprompt_is_there(self) -> AdaptSettings:
        if from_metaprompt(self.method) != (self.metaprompt is not None):
            raise ValueError(
                "method mpt and method routing with `experts: sources`, and no other, take a `metaprompt`, the file "
                "that `clinprompt distill` makes for a backbone; without one use --method prompt-tuning"
            )
        return self

    @model_validator(mode="after")
    def _teachers_are_there(self) -> AdaptSettings:
        if from_teachers(self.method) != (self.teachers is not None):
            raise ValueError(
                "methods spot and attention, and no other, take `teachers`, the run in which `clinprompt teach` made "
                "the sources' prompts for a backbone; without one use --method prompt-tuning"
            )
        if isinstance(self.method, Mpt) and self.method.metaprompt:
            raise ValueError(
                "`method.metaprompt` names a variant of a recipe's sources; here give the file, `metaprompt`"
            )
        return self


class DecodingSettings(Settings):
    """How answers are found: ``greedy`` token by token, by ``beams``, or as the likeliest of the possible ``choices``.

    ``choices`` is for classes and multiple choice; other tasks are then answered greedily. An answer also ends where
    one of the texts in ``stop`` begins. ``grounded`` answers are written within the task's form: words of the note,
    labels of the task; others are written freely and only checked. For encoders: with ``flat`` the answers to one
    question do not overlap, with ``gold_heads`` relations are asked about the annotated heads, not those found.
    """

    kind: Literal["greedy", "beams", "choices"] = "greedy"
    grounded: bool = True
    beams: int = Field(4, ge=2, le=64)
    length_penalty: float = 1.0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    flat: bool = False
    gold_heads: bool = False


class LongNoteSettings(Settings):
    """How notes are read that are longer than a window or than the backbone's context.

    ``window_tokens`` is the longest stretch in tokens of the backbone. Neighbouring windows share at least ``overlap``
    characters (null: the longest answer item of the training data, at most half a window). Of several windows'
    answers, ``choices`` are taken from the ``surest`` one or by ``summed`` log-likelihood; ``summaries`` are
    ``joined``, or summarised ``again``. ``sections`` is a file of heading rules.
    """

    window_tokens: int | None = Field(None, ge=16)
    overlap: int | None = Field(None, ge=0)
    choices: Literal["surest", "summed"] = "surest"
    summaries: Literal["again", "joined"] = "again"
    sections: Path | None = None


class EvaluateSettings(Settings):
    """Scores of everything an adapt run made, on one part of each target.

    ``adapted`` is the run, a prompt file or ``BANK:NAME[@VERSION]``; with ``bank_key`` a bank signed with this key.
    With ``likelihood`` tasks with a closed list of answers are scored by the likeliest of them as well. ``elsewhere``
    names, for a target, prepared data of another place with the same labels: its cells, and no others, are scored on
    that.
    """

    backbone: BackboneSettings = BackboneSettings()
    adapted: Path
    bank_key: Path | None = Field(None, exclude_if=lambda path: path is None)
    targets: tuple[Path, ...] = Field(min_length=1)
    part: Literal["dev", "test"] = "test"
    limit: int | None = Field(None, ge=1)
    answer_tokens: int = Field(128, ge=1)
    decoding: DecodingSettings = DecodingSettings()
    likelihood: bool = True
    elsewhere: dict[str, Path] = Field(default_factory=dict)
    long_notes: LongNoteSettings = LongNoteSettings()
    resamples: int = Field(10_000, ge=100)
    seed: int = 0


class LeakageCheck(Settings):
    """What is looked for of the scored examples, and where.

    ``pretraining`` is the backbone's pretraining text, in a format of `clinprompt show readers`; without it a backbone
    that says how its text was made (the embedded one) is compared with the first ``notes`` of it (null: all). A note is
    near when ``share`` of its runs of eight words stand elsewhere, similar when it has ``similar`` of its word triples
    in common with another note.
    """

    pretraining: Path | None = None
    reader: str = "plain"
    reader_options: dict[str, Any] = Field(default_factory=dict)
    notes: int | None = Field(10_000, ge=1)
    share: float = Field(0.5, gt=0, le=1)
    similar: float = Field(0.7, gt=0, le=1)


class LeakageSettings(Settings):
    """Which of the targets' scored examples stand in what was trained on: own parts, sources, the pretraining text.

    ``elsewhere`` names, for a target, other prepared tasks whose examples are scored too.
    """

    backbone: str = ""
    targets: tuple[Path, ...] = Field(min_length=1)
    sources: tuple[Path, ...] = ()
    elsewhere: dict[str, tuple[Path, ...]] = Field(default_factory=dict)
    part: Literal["dev", "test"] = "test"
    limit: int | None = Field(None, ge=1)
    check: LeakageCheck = LeakageCheck()


class PredictSettings(Settings):
    """Notes in, predictions out, by names of `clinprompt show writers` and readers (``auto`` guesses the reader).

    ``prompts`` are files, adapt runs or ``BANK:NAME[@VERSION]``, with another engine names in its checkpoint too; with
    ``bank_key`` their banks must be signed with this key. ``window`` is the longest stretch in characters;
    ``mark_sections`` gives every span its section as an attribute, ``mark_ambiguous`` those whose words stand in
    several places ``ambiguous``. With a server in ``batch`` the prompts are names of its bank, and backbone, windows
    and decoding are its own.
    """

    backbone: BackboneSettings = BackboneSettings()
    engine: EngineSettings = EngineSettings()
    prompts: tuple[Path, ...] = Field(min_length=1)
    bank_key: Path | None = None
    notes: Path
    reader: str = "auto"
    reader_options: dict[str, Any] = Field(default_factory=dict)
    out: Path
    writer: str = "brat"
    writer_options: dict[str, Any] = Field(default_factory=dict)
    window: int | None = Field(None, ge=40)
    long_notes: LongNoteSettings = LongNoteSettings()
    mark_sections: bool = False
    mark_ambiguous: bool = False
    answer_tokens: int = Field(192, ge=1)
    decoding: DecodingSettings = DecodingSettings()
    batch: BatchSettings = BatchSettings()
