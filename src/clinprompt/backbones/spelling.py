"""Texts to token ids, from any number of threads: the one place where tokenizers are asked to."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from clinprompt.schema.formulated import Piece

_LOCK = Lock()
"""Whether special tokens are recognised is a setting of the tokenizer, which another thread must not change between."""


def spell(tokenizer: Any, text: str, *, trusted: bool, offsets: bool = False) -> Any:
    """Ids of a text without special tokens around it; with ``offsets`` also the characters that each comes from.

    Special tokens are recognised only in a trusted text. Rows that are too long are refused later, in our words.
    """
    with _LOCK:
        return tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=not trusted,
            return_offsets_mapping=offsets,
            verbose=False,
        )


def shared_tokens(pieces: Sequence[Piece], tokens: Sequence[Sequence[int]]) -> int | None:
    """How many tokens end with the longest text that is no template's; ``None`` where there is none."""
    texts = [i for i, piece in enumerate(pieces) if not piece.trusted]
    if not texts:
        return None
    note = max(texts, key=lambda i: len(tokens[i]))
    return sum(len(part) for part in tokens[: note + 1])
