"""What training and prediction ask of a backbone, and the records that pass between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Protocol

from torch import Tensor
from torch.nn.functional import cross_entropy

from clinprompt.errors import InputError
from clinprompt.schema.formulated import TextPair

if TYPE_CHECKING:
    from clinprompt.backbones.note_cache import NoteCache


class Placement(StrEnum):
    """Where prompt vectors stand: before everything (as in the papers and in PEFT), after the input, or half each.

    ``apart`` is for encoders: before the question, which the first layers read apart from the text
    (:mod:`clinprompt.backbones.apart`).
    """

    prefix = "prefix"
    suffix = "suffix"
    both = "both"
    apart = "apart"

    def split(self, length: int) -> tuple[int, int]:
        """How many of ``length`` vectors stand before everything and how many after the input.

        >>> Placement.both.split(5)
        (3, 2)
        """
        before = {"prefix": length, "suffix": 0, "both": (length + 1) // 2, "apart": length}[self.value]
        return before, length - before


BESIDE_WRITING = (Placement.prefix, Placement.suffix, Placement.both)
"""The placements that decoders have."""
KEPT_NOTES = (Placement.suffix, Placement.apart)
"""The placements with which a note, or the first layers of it, is read once for all prompts."""


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids of one formulated example; ``answer`` ends with the end-of-sequence token.

    The first ``shared`` tokens of the context (``None``: all) end with its longest input text, the note: other tasks'
    rows about the same note may begin with the same ones. Where worked examples stand before it, they are the examples,
    with which the rows of other notes begin too.
    """

    name: str
    context: tuple[int, ...]
    cue: tuple[int, ...]
    answer: tuple[int, ...]
    shared: int | None = field(default=None, compare=False)

    @property
    def trunk(self) -> tuple[int, ...]:
        """The tokens of the context that other tasks' rows may share."""
        return self.context[: self.shared]

    @property
    def length(self) -> int:
        """Number of tokens with the answer, without prompt vectors and BOS."""
        return len(self.context) + len(self.cue) + len(self.answer)

    @property
    def beside_note(self) -> int:
        """Tokens that are run when its note is kept, without prompt vectors."""
        return self.length - len(self.context)

    @property
    def units(self) -> int:
        """Over how many parts its loss is a mean: the answer's tokens."""
        return len(self.answer)


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """Token ids of one question about one context, with special tokens and without prompt vectors.

    ``segments`` are the token types (0 question, 1 context). Tokens ``first`` to ``last`` (exclusive) are those of the
    context, without its special tokens; ``places`` holds the character range of each in the context, ``None`` for the
    marks around a head and for blanks. ``gold`` are the answers as (first, last) tokens, both inclusive, counted from
    the context's first; ``lost`` counts answers whose borders are not borders of tokens.
    """

    name: str
    tokens: tuple[int, ...]
    segments: tuple[int, ...]
    first: int
    last: int
    places: tuple[tuple[int, int] | None, ...]
    gold: tuple[tuple[int, int], ...] = ()
    lost: int = 0

    @property
    def length(self) -> int:
        """Number of tokens, without prompt vectors."""
        return len(self.tokens)

    @property
    def beside_note(self) -> int:
        """Tokens that are run when the first layers of its text are kept, without prompt vectors: in the others all."""
        return self.length

    @property
    def units(self) -> int:
        """One loss per question."""
        return 1


@dataclass(frozen=True, slots=True)
class PromptVectors:
    """Prompts ``[M, P, H]`` in float32, where they stand, and which of them each row of a batch has.

    ``owner`` holds one number per row, an index into the prompts (``None``: as many prompts as rows, in order).
    ``lengths`` holds how many of its ``P`` vectors each prompt really has (``None``: all), so that prompts of
    different lengths can share a tensor; the rest is padding that nothing looks at. ``vectors`` may be per layer,
    ``[M, L, P, H]``. ``heads`` are the scorers of encoders, tensors ``[M, ...]`` by name
    (:mod:`clinprompt.backbones.heads`).
    """

    vectors: Tensor
    placement: Placement
    owner: tuple[int, ...] | None = None
    lengths: tuple[int, ...] | None = None
    heads: Mapping[str, Tensor] = field(default_factory=dict)

    def owners(self, rows: int) -> tuple[int, ...]:
        """The prompt of each of ``rows`` rows."""
        return tuple(range(rows)) if self.owner is None else self.owner

    def length(self, prompt: int) -> int:
        """How many vectors a prompt has."""
        return self.vectors.shape[-2] if self.lengths is None else self.lengths[prompt]


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

    @property
    def losses(self) -> Tensor:
        """Negative log-likelihood of each answer token ``[A]``, in nats."""
        return cross_entropy(self.logits, self.targets, reduction="none")


@dataclass(frozen=True, slots=True)
class ReadingOutput:
    """What an encoder makes of a batch of questions: the loss of each, ``[B]``, and its context tokens side by side.

    ``edges`` ``[A, 2]`` are the logits of being a first and a last token of an answer, for the ``A`` context tokens of
    all rows; ``owner`` ``[A]`` is the row of each. ``hidden`` ``[A, M]`` holds the states of layers asked for.
    """

    losses: Tensor
    row: Tensor
    edges: Tensor
    owner: Tensor
    hidden: Tensor | None


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """An answer found: its first and last token (inclusive, counted from the context's first) and its match logit."""

    first: int
    last: int
    score: float


@dataclass(frozen=True, slots=True)
class Generation:
    """How an answer is written: greedily, or the best of ``beams`` kept side by side; at most ``tokens`` tokens.

    A beam's score is its log-probability over its length to the power of ``length_penalty``. An answer also ends
    where one of the texts in ``stop`` begins, which is not part of it. With a ``temperature`` above 0 tokens are drawn
    instead, from the likeliest ones that together have at least ``top_p`` of the probability; equal ``seed`` s give
    equal draws (``None``: others each time). Raises :class:`InputError` for values that have no meaning.
    """

    tokens: int = 128
    beams: int = 1
    length_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < inf:
            raise InputError("the temperature is not usable", where="temperature", allowed="0 (greedy) or more")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError("the share of probability to draw from is not usable", where="top_p", allowed="0 < p <= 1")
        if self.beams > 1 and self.temperature > 0.0:
            raise InputError(
                "beams are not drawn", where="temperature", fix="answer with one beam, or at temperature 0"
            )


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """Generated text, its number of tokens, whether the limit cut it, and whether it was written under a constraint.

    ``ids`` are the tokens written, without an end token, and ``chances`` the log-probability in nats that the network
    gave each of them, before temperature and constraint; answers found by beams have none. They do not count when
    answers are compared, because their last bits depend on the neighbours in a batch.
    """

    text: str
    tokens: int
    truncated: bool
    constrained: bool = False
    ids: tuple[int, ...] = field(default=(), compare=False)
    chances: tuple[float, ...] = field(default=(), compare=False)


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
