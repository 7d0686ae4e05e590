"""Train the embedded language model from nothing, in half an hour on two cores."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from clinprompt.backbones.embedded import checkpoint, float32_attention
from clinprompt.backbones.embedded.corpus import (
    Role,
    TokenRow,
    batches,
    collate,
    draw_conversation,
    encode,
    pieces,
)
from clinprompt.backbones.embedded.initialise import build_induction_heads
from clinprompt.backbones.embedded.tokenizer import train_tokenizer

# Mean length of a sequence: only to place the border of the short notes.
_MEAN_TOKENS = 150
# The first tenth of the tokens is short notes: lists of one section before lists of five.
_SHORT_SHARE = 0.1
# Notes are learnt too, from a quarter of their tokens at a third of the weight; one-token decisions would
# drown in the mean over answer tokens.
_NOTE_SHARE, _NOTE_WEIGHT = 0.25, 0.3
_DECISIVE_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Size:
    """Shape of the model and of a batch (padded tokens); so many sequences are drawn and sorted together."""

    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 6
    heads: int = 4
    feed_forward: int = 352
    batch_tokens: int = 4096
    learning_rate: float = 2e-3
    warm_up_steps: int = 60
    tokenizer_notes: int = 6000
    sequences_at_a_time: int = 1500


@dataclass(frozen=True, slots=True)
class PretrainStep:
    """Progress after a step; losses in nats per token (running means), ``minutes`` over resumed runs."""

    step: int
    tokens: int
    answer_loss: float
    note_loss: float
    minutes: float


@dataclass(frozen=True, slots=True)
class PretrainResult:
    """The finished folder with what it took."""

    folder: Path
    tokens: int
    minutes: float
    answer_loss: float


@dataclass(frozen=True, slots=True)
class _Progress:
    """Where a run stands: all that a checkpoint keeps beside the tensors."""

    step: int = 0
    tokens: int = 0
    minutes: float = 0.0
    chunk: int = 0
    batch: int = 0
    answer_loss: float = math.nan
    note_loss: float = math.nan

    def after(
        self, chunk: int, index: int, *, tokens: int, answer_loss: float, note_loss: float, minutes: float
    ) -> _Progress:
        """The progress after one more batch; losses are running means."""
        return _Progress(
            step=self.step + 1,
            tokens=self.tokens + tokens,
            minutes=minutes,
            chunk=chunk,
            batch=index + 1,
            answer_loss=_smooth(self.answer_loss, answer_loss),
            note_loss=_smooth(self.note_loss, note_loss),
        )


def _smooth(mean: float, value: float) -> float:
    return value if math.isnan(mean) else 0.98 * mean + 0.02 * value


def new_model(size: Size, *, seed: int, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """An untrained model with induction heads (float32)."""
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    build_induction_heads(model, seed=seed)
    return model


def pretrain(
    out: Path,
    *,
    tokens: int,
    seed: int,
    threads: int,
    report: Callable[[PretrainStep], None],
    size: Size | None = None,
    checkpoint_tokens: int = 1_000_000,
) -> PretrainResult:
    """Train until ``tokens`` padded tokens are read and write a Hugging Face folder to ``out``.

    The schedule counts tokens, not minutes. A checkpoint is kept in ``out`` every ``checkpoint_tokens``; an
    interrupted run goes on from there as if nothing had happened, and the checkpoint is removed at the end.
    """
    size = size or Size()
    torch.set_num_threads(threads)
    tokenizer = corpus_tokenizer(seed=seed, notes=size.tokenizer_notes, vocabulary=size.vocabulary)
    model = new_model(size, seed=seed, tokenizer=tokenizer)
    model.set_attn_implementation(float32_attention.NAME)
    optimiser = torch.optim.AdamW(_groups(model), lr=size.learning_rate, betas=(0.9, 0.95))
    now = _Progress(**(checkpoint.load(out, model=model, optimiser=optimiser) or {}))
    saved, before, clock = now.tokens, now.minutes, time.monotonic()
    for chunk, index, batch in _batches(tokenizer, now, seed=seed, size=size, total=tokens):
        for group in optimiser.param_groups:
            group["lr"] = size.learning_rate * _schedule(now.step, now.tokens / tokens, size)
        answer, note, count = train_step(model, optimiser, batch, seed=seed + now.step, pad=tokenizer.pad_token_id)
        minutes = before + (time.monotonic() - clock) / 60
        now = now.after(chunk, index, tokens=count, answer_loss=answer, note_loss=note, minutes=minutes)
        report(PretrainStep(now.step, now.tokens, now.answer_loss, now.note_loss, now.minutes))
        if now.tokens >= tokens:
            break
        if now.tokens - saved >= checkpoint_tokens:
            saved = now.tokens
            checkpoint.save(out, model=model, optimiser=optimiser, progress=asdict(now))
    result = PretrainResult(out, now.tokens, now.minutes, now.answer_loss)
    export(out, model=model, tokenizer=tokenizer, seed=seed, size=size, result=result)
    (out / checkpoint.FILE).unlink(missing_ok=True)
    return result


def corpus_tokenizer(*, seed: int, notes: int, vocabulary: int) -> PreTrainedTokenizerBase:
    """The tokenizer learnt from the first notes and turns of the corpus."""
    rng = random.Random(f"tokenizer {seed}")
    texts = (
        text
        for _ in range(notes)
        for text, role, _ in pieces(draw_conversation(rng))
        if role is not Role.given or text.startswith(" ")
    )
    return train_tokenizer(texts, vocabulary=vocabulary)


def train_step(
    model: LlamaForCausalLM, optimiser: torch.optim.Optimizer, batch: list[TokenRow], *, seed: int, pad: int
) -> tuple[float, float, int]:
    """One update; mean answer loss, mean note loss, and the padded tokens read."""
    ids, roles = (torch.from_numpy(part) for part in collate(batch, pad=pad))
    draw = torch.Generator().manual_seed(seed)
    asked = roles[:, 1:] >= Role.answer  # [B, T-1]
    noted = (roles[:, 1:] == Role.note) & (torch.rand(asked.shape, generator=draw) < _NOTE_SHARE)
    chosen = asked | noted
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[chosen])  # only where there is a loss: [M, V]
    losses = cross_entropy(logits.float(), ids[:, 1:][chosen], reduction="none")
    role = roles[:, 1:][chosen]
    weights = torch.where(role == Role.decisive, _DECISIVE_WEIGHT, torch.where(role == Role.note, _NOTE_WEIGHT, 1.0))
    is_answer = role >= Role.answer
    ((losses * weights).sum() / is_answer.sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    values = losses.detach()
    return values[is_answer].mean().item(), values[~is_answer].mean().item(), ids.numel()


def export(
    out: Path,
    *,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    size: Size,
    result: PretrainResult,
) -> None:
    """Write an ordinary Hugging Face folder (bfloat16) and ``clinprompt.json``: template, provenance."""
    out.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    copy.generation_config = GenerationConfig(**special, pad_token_id=tokenizer.pad_token_id, do_sample=False)
    copy.save_pretrained(out)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(out)
    card = {
        "template": "markers",
        "data": "synthetic notes of clinprompt.data.readers.synthetic, source terms only",
        "tokens": result.tokens,
        "seed": seed,
        "minutes": round(result.minutes, 2),
        "answer_loss": round(result.answer_loss, 4),
        "size": asdict(size),
    }
    (out / "clinprompt.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _groups(model: LlamaForCausalLM) -> list[dict]:
    decayed = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]


def _schedule(step: int, progress: float, size: Size) -> float:
    return min(1.0, (step + 1) / size.warm_up_steps) * (1.0 - 0.97 * max(0.0, (progress - 0.3) / 0.7))


def _batches(
    tokenizer: PreTrainedTokenizerBase, start: _Progress, *, seed: int, size: Size, total: int
) -> Iterator[tuple[int, int, list[TokenRow]]]:
    """Endless fresh batches with the numbers of their chunk and batch; each chunk has its own seed."""
    chunk, skip = start.chunk, start.batch
    while True:
        rng = random.Random(f"pretraining {seed} {chunk}")
        short = chunk * size.sequences_at_a_time * _MEAN_TOKENS < _SHORT_SHARE * total
        conversations = [draw_conversation(rng, short=short) for _ in range(size.sequences_at_a_time)]
        groups = batches(encode(conversations, tokenizer), tokens=size.batch_tokens, rng=rng)
        for index in range(skip, len(groups)):
            yield chunk, index, groups[index]
        chunk, skip = chunk + 1, 0
