"""A backbone with the template that its tasks are put in, opened once and passed from stage to stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.chat import chat_frame
from clinprompt.backbones.encoder_loading import load_encoder, reads
from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import BESIDE_WRITING, Generation, Placement, Row
from clinprompt.errors import InputError
from clinprompt.inference.constraint import Grammars, grammars_of
from clinprompt.inference.engines.engine import Engine
from clinprompt.inference.predictor import Predictor
from clinprompt.inference.reference import reference_faults
from clinprompt.prompts.card import BackboneIdentity
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.registry import unknown_name
from clinprompt.schema.example import Example
from clinprompt.stages.configs import BackboneSettings, DecodingSettings
from clinprompt.tasks.formulations.generative import formulate
from clinprompt.tasks.formulations.unaskable import Unaskable
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import CHAT, TEMPLATES, Template, chat_template
from clinprompt.training.method import method
from clinprompt.training.parallel import world


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded backbone and its template."""

    reads: ClassVar[bool] = False
    """Whether the backbone is an encoder, which reads questions, and no decoder, which writes answers."""

    backbone: CausalBackbone
    template: Template

    @property
    def identity(self) -> BackboneIdentity:
        """What prompts record of the backbone they belong to."""
        return BackboneIdentity(
            name=self.backbone.name,
            fingerprint=self.backbone.fingerprint,
            tokenizer=self.backbone.tokenizer_fingerprint,
            hidden=self.backbone.hidden_size,
        )

    def predictor(
        self, decoding: DecodingSettings, *, tokens: int, engine: Engine | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Predictor:  # fmt: skip
        """A predictor for the weights as they are now, by an engine of its own or by ``engine``.

        It is constrained where the settings and the backbone allow it. ``check`` may end its work by raising.
        """
        beams = decoding.beams if decoding.kind == "beams" else 1
        generation = Generation(tokens, beams, decoding.length_penalty, decoding.stop)
        grammars = grammars_of(self.backbone) if decoding.grounded else None
        return Predictor(
            self.backbone,
            self.template,
            generation=generation,
            choices=decoding.kind == "choices",
            grammars=grammars if isinstance(grammars, Grammars) else None,
            engine=engine,
            check=check,
        )

    def check_decoding(self, decoding: DecodingSettings, *, tokens: bool = False) -> None:
        """Raise :class:`InputError` for what was set and has no effect on this kind of backbone.

        ``tokens``: how long answers may be was set.
        """
        for name in ("flat", "gold_heads"):
            if getattr(decoding, name):
                raise InputError(
                    f"decoding.{name} is for encoders, and {self.backbone.name} is a decoder",
                    where=f"decoding.{name}",
                    fix="leave it out, or give an encoder as --backbone",
                )

    def check_placement(self, *placements: str | None) -> None:
        """Raise :class:`InputError` for a placement that prompts of this backbone cannot have."""
        if Placement.apart in placements:
            raise InputError(
                f"with a decoder no text is read apart from the question, and {self.backbone.name} is one",
                where="prompt.placement",
                allowed=", ".join(BESIDE_WRITING),
                fix="take `suffix`, with which a note is read once for all tasks, or give an encoder as --backbone",
            )

    def unconstrained(self, decoding: DecodingSettings) -> str:
        """Why answers cannot be constrained although the settings ask for it; empty where they can."""
        found = grammars_of(self.backbone) if decoding.grounded else None
        return str(found) if isinstance(found, Exception) else ""

    def remarks(self, decoding: DecodingSettings) -> tuple[str, ...]:
        """What a user should know of the engine before relying on its answers, in sentences: nothing of our own."""
        return ()

    def held(self, name: str) -> SoftPrompt | None:
        """The prompt of this name that the engine holds itself; ``None``: prompts are files."""
        return None

    def check(self, prompt: SoftPrompt, *, where: str) -> None:
        """Raise :class:`InputError` unless the prompt acts on the backbone as it did when it was made."""
        for fault in self.faults({where: prompt}).values():
            raise fault

    def faults(self, prompts: Mapping[str, SoftPrompt]) -> dict[str, InputError]:
        """What :meth:`check` would raise of prompts, by where they stand; many are run together."""
        return reference_faults(self.backbone, prompts)

    def rows(self, examples: Sequence[Example], task: Task, *, reserve: int) -> list[Row]:
        """Token ids of examples with their gold answers; ``reserve`` is the prompt's length."""
        return [
            self.backbone.encode(formulate(example, task, self.template), name=example.id, reserve=reserve)
            for example in examples
        ]

    def training_rows(
        self, examples: Sequence[Example], task: Task, *, reserve: int, impossible: float | None, seed: int
    ) -> list[Row]:
        """The rows that a budget trains on: all; ``impossible`` is for encoders, else :class:`InputError`."""
        if impossible is not None:
            raise InputError(
                "only questions to an encoder can be impossible",
                where="budget.impossible",
                fix="leave it out, or give an encoder as --backbone",
            )
        return self.rows(examples, task, reserve=reserve)

    def settled(
        self, vectors: Tensor, heads: Mapping[str, Tensor], rows: Sequence[Row], *, placement: str
    ) -> Mapping[str, Tensor]:
        """The scorers of a trained prompt, their border of yes and no where ``rows`` say; a decoder has none."""
        return heads

    def unaskable(self, examples: Sequence[Example], task: Task) -> Unaskable | None:
        """What of the answers no question can have as its answer; ``None``: a decoder writes answers."""
        return None

    def suited(self, kind: str, tasks: Sequence[Task]) -> Opened:
        """As a method needs it; raises :class:`InputError` for methods of encoders."""
        if method(kind).backbones == "encoder":
            raise InputError(
                f"{kind} is a method for encoders, and {self.backbone.name} is a decoder",
                where="method",
                fix="take prompt-tuning, mpt, lora or fine-tuning, or an encoder as --backbone",
            )
        return self

    def templated(self, name: str) -> Opened:
        """With the template of this name; see :func:`template_of`."""
        return replace(self, template=template_of(self.backbone, name))

    def layer_starts(self, start: Tensor) -> Tensor:
        """Start vectors of every layer ``[N, L, P, H]``: what each would see of ``start`` ``[N, P, H]`` alone."""
        return self.backbone.layer_inputs(start)

    def asks_twice(self, task: Task) -> bool:
        """Whether a task's second questions depend on the answers to its first ones: never for a decoder."""
        return False

    def heads(self, seeds: Sequence[int], *, start: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """What a member brings besides a prompt: nothing, a decoder answers with its own words."""
        return {}


def open_backbone(settings: BackboneSettings) -> Opened:
    """Load what the settings name; the template is the one they name, else the backbone's own.

    An encoder is opened as :class:`~clinprompt.stages.opened_encoder.OpenedEncoder`.
    """
    if reads(settings.path):
        return _encoder(settings)
    # Joined first: each process takes its own GPU before anything is put there.
    if world().size > 1 and settings.device == "spread":
        raise InputError(
            "every process would take all accelerators",
            where="backbone.device",
            fix="give `backbone.sharded=true` in place of `spread`, or start one process",
        )
    backbone = load_backbone(
        settings.path,
        dtype=settings.dtype,
        device=settings.device,
        autocast=settings.autocast,
        weights=settings.weights,
        sharded=settings.sharded,
        recompute=settings.recompute,
        compiled=settings.compiled,
        note_memory=settings.note_memory,
        note_folder=settings.note_folder,
    )
    return Opened(backbone, template_of(backbone, settings.template or backbone.template))


def _encoder(settings: BackboneSettings) -> Opened:
    from clinprompt.stages.opened_encoder import OpenedEncoder

    plain = {"weights": "full", "sharded": False, "recompute": False, "compiled": False, "note_folder": None}
    for name, value in plain.items():
        if getattr(settings, name) != value:
            raise InputError(f"backbone.{name} is for decoders, and this is an encoder", where=settings.path)
    if settings.device == "spread":
        raise InputError("an encoder runs on one device", where="backbone.device", allowed="auto, cpu, cuda, cuda:0 …")
    backbone = load_encoder(
        settings.path,
        dtype=settings.dtype,
        device=settings.device,
        autocast=settings.autocast,
        note_memory=settings.note_memory,
    )
    opened = OpenedEncoder(backbone, head_width=settings.head_width)
    return replace(opened.templated(settings.template), asked=True) if settings.template else opened


def template_of(backbone: CausalBackbone, name: str) -> Template:
    """The template of this name; ``chat`` is made from the backbone's own chat template.

    Raises :class:`InputError` for an unknown name, and for ``chat`` when the backbone has no chat template.
    """
    if name == CHAT:
        frame = chat_frame(backbone.tokenizer, where=f"backbone {backbone.name}")
        return chat_template(before=frame.before, after=frame.after, again=frame.again)
    if name not in TEMPLATES:
        raise unknown_name("template", name, [*TEMPLATES, CHAT])
    return TEMPLATES[name]
