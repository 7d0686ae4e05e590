"""Random Llamas of several sizes and vocabularies as folders, and how we open them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers import models as word_models
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.loading import load_backbone

PAD, BOS, EOS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Size:
    """Shape of a Llama: hidden width, layers, heads, heads of keys and values, width of the inner layer."""

    width: int
    layers: int
    heads: int
    key_value_heads: int
    inner: int

    @property
    def weights(self) -> int:
        """Weights of all linear layers without the embeddings and the output head."""
        narrow = self.width * self.key_value_heads // self.heads
        return self.layers * (2 * self.width * self.width + 2 * self.width * narrow + 3 * self.width * self.inner)


SIZES = {
    "quick": Size(32, 2, 4, 2, 48),
    "small": Size(512, 8, 8, 2, 1408),
    "1b": Size(2048, 16, 32, 8, 8192),
    "8b": Size(4096, 32, 32, 8, 14336),
}
"""``1b`` and ``8b`` have the shapes of Llama 3; ``small`` is what two CPU cores can measure."""


def model_folder(parent: Path, *, size: str, vocabulary: int, device: str = "cpu") -> Path:
    """A folder with this model under ``parent``, written when it is not there; weights in bfloat16.

    Half precision on disk, so that both dtypes measured later have exactly the same weights.
    """
    folder = parent / f"{size}-{vocabulary}"
    if (folder / "clinprompt.json").exists():
        return folder
    shape = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.width // shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=16384,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    word_tokenizer(vocabulary).save_pretrained(folder)
    (folder / "clinprompt.json").write_text(json.dumps({"template": "plain"}) + "\n", encoding="utf-8")
    return folder


def word_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose token ``i`` reads ``w<i>``, so that a generated text tells its tokens."""
    words = Tokenizer(word_models.WordLevel({f"w{i}": i for i in range(vocabulary)}, unk_token=f"w{PAD}"))
    words.pre_tokenizer = WhitespaceSplit()
    names = {"pad_token": f"w{PAD}", "bos_token": f"w{BOS}", "eos_token": f"w{EOS}"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def token_ids(text: str) -> list[int]:
    """The tokens of a text written by :func:`word_tokenizer`."""
    return [int(word[1:]) for word in text.split()]


@lru_cache(maxsize=2)
def open_backbone(folder: Path, *, dtype: str, device: str) -> CausalBackbone:
    """Our backbone; the last two are kept, so that the variants of a case share one per dtype."""
    return load_backbone(str(folder), dtype=dtype, device=device)
