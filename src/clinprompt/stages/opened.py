"""A backbone with the template that its tasks are put in, opened once and passed from stage to stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.chat import chat_frame
from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import Generation, Row
from clinprompt.errors import InputError
from clinprompt.inference.constraint import Grammars, grammars_of
from clinprompt.inference.predictor import Predictor
from clinprompt.prompts.card import BackboneIdentity
from clinprompt.registry import unknown_name
from clinprompt.schema.example import Example
from clinprompt.stages.configs import BackboneSettings, DecodingSettings
from clinprompt.tasks.formulations.generative import formulate
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import CHAT, TEMPLATES, Template, chat_template
from clinprompt.training.parallel import world


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded backbone and its template."""

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

    def predictor(self, decoding: DecodingSettings, *, tokens: int) -> Predictor:
        """A predictor for the weights as they are now; constrained where the settings and the backbone allow it."""
        beams = decoding.beams if decoding.kind == "beams" else 1
        generation = Generation(tokens, beams, decoding.length_penalty, decoding.stop)
        grammars = grammars_of(self.backbone) if decoding.grounded else None
        return Predictor(
            self.backbone,
            self.template,
            generation=generation,
            choices=decoding.kind == "choices",
            grammars=grammars if isinstance(grammars, Grammars) else None,
        )

    def unconstrained(self, decoding: DecodingSettings) -> str:
        """Why answers cannot be constrained although the settings ask for it; empty where they can."""
        found = grammars_of(self.backbone) if decoding.grounded else None
        return str(found) if isinstance(found, Exception) else ""

    def rows(self, examples: Sequence[Example], task: Task, *, reserve: int) -> list[Row]:
        """Token ids of examples with their gold answers; ``reserve`` is the prompt's length."""
        return [
            self.backbone.encode(formulate(example, task, self.template), name=example.id, reserve=reserve)
            for example in examples
        ]


def open_backbone(settings: BackboneSettings) -> Opened:
    """Load what the settings name; the template is the one they name, else the backbone's own."""
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


def template_of(backbone: CausalBackbone, name: str) -> Template:
    """The template of this name; ``chat`` is made from the backbone's own chat template.

    Raises :class:`InputError` for an unknown name, and for ``chat`` when the backbone has no chat template.
    """
    if name == CHAT:
        frame = chat_frame(backbone.tokenizer, where=f"backbone {backbone.name}")
        return chat_template(before=frame.before, after=frame.after)
    if name not in TEMPLATES:
        raise unknown_name("template", name, [*TEMPLATES, CHAT])
    return TEMPLATES[name]
