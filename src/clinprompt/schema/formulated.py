"""How an example is put to a model: pieces of text in, answer text out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of model input; only ``trusted`` pieces (from templates) may contain a model's special tokens.

    Note text is never trusted: a note that contains the characters of a special token is read as those characters.
    """

    text: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class TextPair:
    """One generative row: ``[prefix prompt] BOS context [suffix prompt] cue | answer EOS``."""

    context: tuple[Piece, ...]
    cue: tuple[Piece, ...]
    answer: str
