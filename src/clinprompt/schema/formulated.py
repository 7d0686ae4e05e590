"""How an example is put to a model: text in and answer text out, or a question about a context and its places."""

from __future__ import annotations

from dataclasses import dataclass

from clinprompt.schema.document import Fragment


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of model input; only ``trusted`` pieces (from templates) may contain a model's special tokens.

    Note text is never trusted: a note that contains the characters of a special token is read as those characters.
    """

    text: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class TextPair:
    """One generative row: ``[prefix prompt] BOS shown context [suffix prompt] cue | answer EOS``.

    ``shown`` are worked examples, the same before many rows.
    """

    context: tuple[Piece, ...]
    cue: tuple[Piece, ...]
    answer: str
    shown: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class SpanQuestion:
    """One row of reading comprehension: a question in words, a context, and where the answers stand in it.

    ``label`` names what is asked for, an entity label or a relation. ``answers`` are half-open character ranges of
    ``context``; none of them: the question is impossible here. ``head`` is the range of the mention that a question
    about a relation speaks of; it is marked in the context.
    """

    label: str
    question: str
    context: str
    answers: tuple[Fragment, ...] = ()
    head: Fragment | None = None
