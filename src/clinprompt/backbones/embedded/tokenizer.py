"""The embedded model's tokenizer: byte-level BPE of 2,048 tokens, trained on source-site notes only."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, NOTE, TASK, ANSWER, QUESTION = "<pad>", "<bos>", "<eos>", "<note>", "<task>", "<ans>", "<q>"
SPECIAL_TOKENS = (PAD, BOS, EOS, NOTE, TASK, ANSWER, QUESTION)


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = 2048) -> PreTrainedTokenizerFast:
    """Learn merges from texts; every byte is a token, so any Unicode text can be written."""
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=10,
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=[NOTE, TASK, ANSWER, QUESTION],
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
