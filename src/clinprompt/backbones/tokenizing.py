"""The words of a backbone without its network: what turns questions into token ids and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clinprompt.backbones.guards import check_length
from clinprompt.backbones.protocol import Row
from clinprompt.backbones.spelling import shared_tokens, spell
from clinprompt.errors import InputError
from clinprompt.schema.formulated import Piece, TextPair


def context_length(config: Any) -> int:
    """How many tokens the network of a configuration (its part for text) can read, as far as it says so."""
    return int(getattr(config, "max_position_embeddings", 0) or 2**31)


class TokenizerBackbone:
    """A backbone's tokenizer, names and limits; the network may be elsewhere.

    ``max_tokens`` is the length of its context, ``extra_ends`` are tokens that end an answer besides the tokenizer's
    own. ``computing`` says, for the provenance of answers, what runs the network and in which numbers.
    """

    computing: Mapping[str, str] = {}

    def __init__(
        self,
        tokenizer: Any,
        *,
        name: str,
        fingerprint: str,
        tokenizer_fingerprint: str,
        template: str,
        max_tokens: int,
        extra_ends: frozenset[int] = frozenset(),
    ) -> None:
        self.tokenizer, self.name, self.template = tokenizer, name, template
        self.fingerprint, self.tokenizer_fingerprint = fingerprint, tokenizer_fingerprint
        self.max_tokens = max_tokens
        self.bos, self.eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.start = () if self.bos is None else (self.bos,)
        self.stops = extra_ends | {self.eos}

    def tokens(self, piece: Piece) -> list[int]:
        """Token ids of one piece; special tokens are recognised only in trusted pieces."""
        return spell(self.tokenizer, piece.text, trusted=piece.trusted)["input_ids"]

    def encode(self, pair: TextPair, *, name: str, reserve: int = 0) -> Row:
        """Token ids of a text pair.

        ``reserve`` is the room to keep for prompt vectors and generated tokens. Raises :class:`InputError` when the
        row does not fit the backbone's context (nothing is ever cut off), and when no token stands before the answer.
        """
        pieces = [self.tokens(piece) for piece in pair.context]
        shown = [token for piece in pair.shown for token in self.tokens(piece)]
        row = Row(
            name=name,
            context=(*shown, *(token for piece in pieces for token in piece)),
            cue=tuple(token for piece in pair.cue for token in self.tokens(piece)),
            answer=(*self.tokens(Piece(pair.answer)), self.eos),
            shared=len(shown) or shared_tokens(pair.context, pieces),
        )
        if not row.cue:
            what = "the template leaves no token between the input and the answer, from which the answer is begun"
            raise InputError(what, where=f"example {name}", fix="name another with `--set backbone.template=plain`")
        needed = row.length + reserve + 1
        check_length(needed, "its prompt and answer", most=self.max_tokens, example=name, backbone=self.name)
        return row

    def with_answer(self, row: Row, answer: str) -> Row:
        """The row with another answer, given as text."""
        return replace(row, answer=(*self.tokens(Piece(answer)), self.eos))

    def text(self, tokens: Sequence[int]) -> str:
        """The text of generated tokens, blanks as they are."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
