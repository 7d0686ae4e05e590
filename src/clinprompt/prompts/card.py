"""A prompt's card: where it comes from, what it may be used with, and how to notice when it has gone silent."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from clinprompt.maths.decomposition import Shift
from clinprompt.tasks.task import Task

CARD_FORMAT = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneIdentity(_Strict):
    """The backbone a prompt belongs to; prompts do not carry over between backbones."""

    name: str
    fingerprint: str
    tokenizer: str
    hidden: int


class Reference(_Strict):
    """The strongest next-token logits on a fixed synthetic sentence, with and without the prompt.

    They are recomputed when the prompt is loaded: a library that ignores the prompt, or alters it, is noticed
    before a note is read.
    """

    tokens: tuple[int, ...]
    with_prompt: tuple[float, ...]
    without_prompt: tuple[float, ...]


class Lineage(_Strict):
    """What a prompt was learnt from: data manifests by hash, licences, source tasks, and the run that made it."""

    data: dict[str, str] = Field(default_factory=dict)
    licences: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    run: str = ""
    shots: int | None = None
    seed: int | None = None


class PromptCard(_Strict):
    """Everything needed to use a prompt rightly and to refuse using it wrongly.

    ``extent`` is the length in characters of the longest item of an answer in the training data: a span, or a
    relation with both its ends. Windows of long notes share that much. ``shift`` is how a metaprompt's factors act on
    it; one without ``rank`` has none. ``length`` vectors stand at the input, or in each of so many ``layers``.
    """

    format: int = CARD_FORMAT
    name: str
    version: int = 1
    method: str
    placement: str
    length: int
    rank: int | None = None
    # Left out of files where it is the usual one: they stay as they are.
    shift: Shift = Field("product", exclude_if=lambda shift: shift == "product")
    layers: int = Field(1, ge=1, exclude_if=lambda layers: layers == 1)
    trainable: int
    backbone: BackboneIdentity
    template: str
    template_hash: str
    task: Task | None = None
    extent: int | None = None
    tasks: tuple[str, ...] = ()
    lineage: Lineage = Lineage()
    scores: tuple[dict[str, Any], ...] = ()
    reference: Reference | None = None
    made_with: dict[str, str] = Field(default_factory=dict)

    @property
    def size(self) -> str:
        """How many vectors it has, in words."""
        return str(self.length) if self.layers == 1 else f"{self.length} in {self.layers} layers"

    @property
    def full_name(self) -> str:
        """Name and version, such as ``meds@3``."""
        return f"{self.name}@{self.version}"
