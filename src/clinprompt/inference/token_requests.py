"""Questions as plain token ids for an engine that holds a prompt-token checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clinprompt.backbones.spelling import spell
from clinprompt.prompts.exports.token_map import TokenPrompt
from clinprompt.schema.formulated import Piece, TextPair


def request_ids(pair: TextPair, prompt: TokenPrompt, tokenizer: Any) -> list[int]:
    """The ids of a question with its prompt, up to where the answer begins; the engine must add none of its own.

    ``tokenizer`` is the checkpoint's. Only our own words are searched for special tokens: a note that spells one,
    a prompt's too, is read as the characters that stand there.
    """
    start = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)
    return prompt.around(start, _ids(pair.context, tokenizer), _ids(pair.cue, tokenizer))


def _ids(pieces: Sequence[Piece], tokenizer: Any) -> list[int]:
    return [token for piece in pieces for token in spell(tokenizer, piece.text, trusted=piece.trusted)["input_ids"]]
