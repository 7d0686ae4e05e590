"""What training and prediction ask of a backbone, and the records that pass between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from clinprompt.schema.formulated import TextPair

if TYPE_CHECKING:
    from clinprompt.backbones.note_cache import NoteCache


class Placement(StrEnum):
    """Where prompt vectors stand: before everything (as in the papers and in PEFT) or after the input."""

    prefix = "prefix"
    suffix = "suffix"


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids of one formulated example; ``answer`` ends with the end-of-sequence token."""

    name: str
    context: tuple[int, ...]
    cue: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        """Number of tokens with the answer, without prompt vectors and BOS."""
        return len(self.context) + len(self.cue) + len(self.answer)


@dataclass(frozen=True, slots=True)
class PromptVectors:
    """One prompt per row, ``[B, P, H]`` float32, and where they stand."""

    vectors: Tensor
    placement: Placement


@dataclass(frozen=True, slots=True)
class Output:
    """Answer positions of a batch: ``logits`` ``[A, V]``, ``targets`` and ``row`` ``[A]``, ``hidden`` ``[A, M]``.

    ``A`` counts the answer tokens of all rows; ``hidden`` is ``None`` unless layers were asked for, and
    otherwise holds their states side by side (M = layers · H).
    """

    logits: Tensor
    targets: Tensor
    row: Tensor
    hidden: Tensor | None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an answer may get, in tokens."""

    tokens: int = 128


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Generated text, its number of tokens, and whether the limit cut it."""

    text: str
    tokens: int
    truncated: bool


class Backbone(Protocol):
    """A network with its tokenizer: encodes, runs, answers."""

    fingerprint: str
    hidden_size: int
    n_layers: int

    def encode(self, pair: TextPair, *, name: str, reserve: int) -> Row:
        """Token ids of a text pair; raises :class:`InputError` when they do not fit the context."""
        ...

    def note_cache(self) -> NoteCache | None:
        """A cache of contexts for one training run with suffix prompts; ``None`` where it would not be exact."""
        ...

    def forward(
        self,
        rows: Sequence[Row],
        prompts: PromptVectors | None,
        *,
        hidden_layers: Sequence[int] = (),
        notes: NoteCache | None = None,
    ) -> Output:
        """Logits (and hidden states) at the answer positions of a batch."""
        ...

    def answer(self, rows: Sequence[Row], prompts: PromptVectors | None, limits: Limits) -> list[RawAnswer]:
        """Greedy answers of a batch, each independent of its neighbours."""
        ...
