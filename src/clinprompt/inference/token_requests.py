"""Questions as plain token ids, or as text, for an engine that holds a prompt-token checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from clinprompt.backbones.spelling import spell
from clinprompt.errors import InputError
from clinprompt.prompts.exports.token_map import TokenPrompt
from clinprompt.schema.formulated import Piece, TextPair


def request_ids(pair: TextPair, prompt: TokenPrompt, tokenizer: Any) -> list[int]:
    """The ids of a question with its prompt, up to where the answer begins; the engine must add none of its own.

    ``tokenizer`` is the checkpoint's. Only our own words are searched for special tokens: a note that spells one,
    a prompt's too, is read as the characters that stand there.
    """
    start = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)
    return prompt.around(start, _ids(pair.context, tokenizer), _ids(pair.cue, tokenizer))


def request_text(ids: Sequence[int], tokenizer: Any, *, where: str) -> str:
    """The text of a request for engines that take no ids: special tokens spelled where they stand, and nowhere else.

    Where words of the note spell a special token a blank is put behind its first character, so that no tokenizer finds
    it. An engine may still cut the text into other tokens where two pieces meet. Raises :class:`InputError` for a
    request that cannot be spelled.
    """
    added = {id: one.content for id, one in tokenizer.added_tokens_decoder.items() if one.special}
    parts = []
    for special, run in groupby(ids, key=added.__contains__):
        if special:
            parts += [added[token] for token in run]
        else:
            words = tokenizer.decode(list(run), skip_special_tokens=False, clean_up_tokenization_spaces=False)
            parts.append(harmless(words, added.values()))
    text = "".join(parts)
    read = spell(tokenizer, text, trusted=True)["input_ids"]
    if [token for token in read if token in added] != [token for token in ids if token in added]:
        raise InputError(
            "the words of the note and of the task spell a special token where they meet",
            where=where,
            fix="use an engine that takes token ids (vLLM, llama.cpp's server)",
        )
    return text


def harmless(text: str, spellings: Iterable[str]) -> str:
    """The text with a blank behind the first character of whatever in it spells a special token.

    >>> harmless("a <eos> b", ["<eos>"])
    'a < eos> b'
    """
    for _ in range(4):  # a blank may complete a spelling with a blank in it
        for one in (spelled for spelled in spellings if len(spelled) > 1):
            text = text.replace(one, f"{one[0]} {one[1:]}")
    return text


def _ids(pieces: Sequence[Piece], tokenizer: Any) -> list[int]:
    return [token for piece in pieces for token in spell(tokenizer, piece.text, trusted=piece.trusted)["input_ids"]]
