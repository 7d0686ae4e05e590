"""Tiny random encoders of real families, each with a small tokenizer of the kind its family has."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    MegatronBertConfig,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
)

_WORDS = ("the", "patient", "took", "takes", "drug", "dose", "aspirin", "daily", "pain", "with", "which", "mg", "of")
_SIZES = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48)
_POSITIONS = 256


@dataclass(frozen=True, slots=True)
class EncoderFamily:
    """How to make the configuration and the tokenizer of a family."""

    config: Callable[..., Any]
    settings: dict[str, Any]
    tokenizer: Callable[[], Any]


def _word_pieces() -> BertTokenizer:
    letters = [character for character in string.printable if not character.isspace()] + list("µ½βé")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *_WORDS]
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))})


def _byte_pairs(special: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """One token per byte, and the words with the blank before them, merged letter by letter."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(f"Ġ{word}"[:cut], f"Ġ{word}"[cut]) for word in _WORDS for cut in range(1, len(word) + 1)]
    merges = list(dict.fromkeys(merges))
    pieces = dict.fromkeys([*special, *alphabet, *(left + right for left, right in merges)])
    return {piece: number for number, piece in enumerate(pieces)}, merges


def _roberta_pieces() -> RobertaTokenizer:
    vocabulary, merges = _byte_pairs(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    return RobertaTokenizer(vocab=vocabulary, merges=merges)


def _modern_pieces() -> PreTrainedTokenizerFast:
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    vocabulary, merges = _byte_pairs(special)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **named
    )


def _unigram_pieces() -> DebertaV2Tokenizer:
    letters = [character for character in string.printable if not character.isspace()] + list("µ½βé▁")
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    scored = [(piece, 0.0) for piece in special] + [(letter, -6.0) for letter in letters]
    scored += [(f"▁{word}", -3.0) for word in _WORDS]
    return DebertaV2Tokenizer(vocab=scored, unk_id=special.index("[UNK]"))


_DEBERTA = dict(
    relative_attention=True,
    position_buckets=16,
    norm_rel_ebd="layer_norm",
    share_att_key=True,
    pos_att_type=["p2c", "c2p"],
    position_biased_input=False,
    type_vocab_size=0,
)
# A window shorter than the test rows, so that sliding layers really slide.
_MODERN = dict(local_attention=16, global_attn_every_n_layers=2)

ENCODERS: dict[str, EncoderFamily] = {
    "bert": EncoderFamily(BertConfig, {"max_position_embeddings": _POSITIONS}, _word_pieces),
    "roberta": EncoderFamily(
        RobertaConfig, {"max_position_embeddings": _POSITIONS + 2, "type_vocab_size": 1}, _roberta_pieces
    ),
    "megatron-bert": EncoderFamily(MegatronBertConfig, {"max_position_embeddings": _POSITIONS}, _word_pieces),
    "deberta-v2": EncoderFamily(DebertaV2Config, {"max_position_embeddings": _POSITIONS, **_DEBERTA}, _unigram_pieces),
    "modernbert": EncoderFamily(ModernBertConfig, {"max_position_embeddings": _POSITIONS, **_MODERN}, _modern_pieces),
}
"""Families that encoders are tested on."""


def write_tiny_encoder(folder: Path, *, family: str, seed: int = 0) -> Path:
    """Write a random encoder of ``family`` with its tokenizer as an ordinary Hugging Face folder."""
    made = ENCODERS[family]
    tokenizer = made.tokenizer()
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "cls_token_id", "sep_token_id")}
    config = made.config(
        **_SIZES,
        **made.settings,
        vocab_size=len(tokenizer),
        **special,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModel.from_config(config, dtype=torch.float32)
        for weight in model.parameters():  # large enough that states differ clearly between tokens
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.25)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
