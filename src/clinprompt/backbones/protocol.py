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
    """Where prompt vectors stand: before everything (as in the papers and in PEFT), after the input, or half each."""

    prefix = "prefix"
    suffix = "suffix"
    both = "both"

    def split(self, length: int) -> tuple[int, int]:
        """How many of ``length`` vectors stand before everything and how many after the input.

        >>> Placement.both.split(5)
        (3, 2)
        """
        before = {"prefix": length, "suffix": 0, "both": (length + 1) // 2}[self.value]
        return before, length - before


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
    """Prompts ``[M, P, H]`` in float32, where they stand, and which of them each row of a batch has.

    ``owner`` holds one number per row, an index into the prompts (``None``: as many prompts as rows, in order).
    ``lengths`` holds how many of its ``P`` vectors each prompt really has (``None``: all), so that prompts of
    different lengths can share a tensor; the rest is padding that nothing looks at.
    """

    vectors: Tensor
    placement: Placement
    owner: tuple[int, ...] | None = None
    lengths: tuple[int, ...] | None = None

    def owners(self, rows: int) -> tuple[int, ...]:
        """The prompt of each of ``rows`` rows."""
        return tuple(range(rows)) if self.owner is None else self.owner

    def length(self, prompt: int) -> int:
        """How many vectors a prompt has."""
        return self.vectors.shape[1] if self.lengths is None else self.lengths[prompt]


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
class Generation:
    """How an answer is written: greedily, or the best of ``beams`` kept side by side; at most ``tokens`` tokens.

    A beam's score is its log-probability over its length to the power of ``length_penalty``. An answer also ends
    where one of the texts in ``stop`` begins, which is not part of it.
    """

    tokens: int = 128
    beams: int = 1
    length_penalty: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Generated text, its number of tokens, whether the limit cut it, and whether it was written under a constraint."""

    text: str
    tokens: int
    truncated: bool
    constrained: bool = False


class Backbone(Protocol):
    """A network with its tokenizer: encodes, runs, answers."""

    fingerprint: str
    hidden_size: int
    n_layers: int
    tokens_at_once: int

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
