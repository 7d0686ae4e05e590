"""A backbone with the template that its tasks are put in, opened once and passed from stage to stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import Row
from clinprompt.prompts.card import BackboneIdentity
from clinprompt.schema.example import Example
from clinprompt.stages.configs import BackboneSettings
from clinprompt.tasks.formulations.generative import formulate
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import TEMPLATES, Template


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

    def rows(self, examples: Sequence[Example], task: Task, *, reserve: int) -> list[Row]:
        """Token ids of examples with their gold answers; ``reserve`` is the prompt's length."""
        return [
            self.backbone.encode(formulate(example, task, self.template), name=example.id, reserve=reserve)
            for example in examples
        ]


def open_backbone(settings: BackboneSettings) -> Opened:
    """Load what the settings name; the template is the one they name, else the backbone's own."""
    backbone = load_backbone(settings.path, dtype=settings.dtype, device=settings.device, autocast=settings.autocast)
    return Opened(backbone, TEMPLATES[settings.template or backbone.template])
