"""Train the embedded language model from nothing: minutes on two cores, the same for the same seed and threads."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from clinprompt.backbones.embedded import checkpoint, float32_attention
from clinprompt.backbones.embedded.corpus import Role, TokenRow, batches, collate, draw_conversation, encode, pieces
from clinprompt.backbones.embedded.initialise import build_induction_heads
from clinprompt.backbones.embedded.tokenizer import train_tokenizer

_CHUNK = 1500
_SHORT_SHARE = 0.1
_NOTE_SHARE, _NOTE_WEIGHT = 0.25, 0.3
_DECISIVE_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Size:
    """Shape of the model and of a batch (padded tokens)."""

    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 6
    heads: int = 4
    feed_forward: int = 352
    batch_tokens: int = 6144
    learning_rate: float = 2e-3
    warm_up_steps: int = 60
    tokenizer_notes: int = 6000


@dataclass(frozen=True, slots=True)
class PretrainStep:
    """Progress after a step; losses in nats per token, ``minutes`` and ``tokens`` counted over resumed runs."""

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


def new_model(size: Size, *, seed: int, special: PreTrainedTokenizerBase) -> LlamaForCausalLM:
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
        bos_token_id=special.bos_token_id,
        eos_token_id=special.eos_token_id,
        pad_token_id=special.pad_token_id,
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

    The schedule counts tokens, not minutes. A checkpoint is kept in ``out`` every ``checkpoint_tokens``; a run that
    was interrupted goes on from there, and its file is removed at the end.
    """
    size = size or Size()
    torch.set_num_threads(threads)
    tokenizer = corpus_tokenizer(seed=seed, notes=size.tokenizer_notes, vocabulary=size.vocabulary)
    model = new_model(size, seed=seed, special=tokenizer)
    model.set_attn_implementation(float32_attention.NAME)
    optimiser = torch.optim.AdamW(_groups(model), lr=size.learning_rate, betas=(0.9, 0.95))
    start = checkpoint.load(out, model=model, optimiser=optimiser) or {}
    step, seen = int(start.get("step", 0)), int(start.get("tokens", 0))
    minutes, saved = start.get("minutes", 0.0), seen
    loss, note_loss = start.get("answer_loss", float("nan")), start.get("note_loss", float("nan"))
    clock = time.monotonic()
    rows = _rows(tokenizer, seed=seed, size=size, total=tokens, chunk=int(start.get("chunk", 0)), skip=int(start.get("batch", 0)))
    while seen < tokens:
        chunk, index, batch = next(rows)
        for group in optimiser.param_groups:
            group["lr"] = size.learning_rate * _schedule(step, seen / tokens, size)
        answer, note, count = train_step(model, optimiser, batch, seed=seed + step, pad=tokenizer.pad_token_id)
        step, seen = step + 1, seen + count
        loss = answer if np.isnan(loss) else 0.98 * loss + 0.02 * answer
        note_loss = note if np.isnan(note_loss) else 0.98 * note_loss + 0.02 * note
        now = minutes + (time.monotonic() - clock) / 60
        report(PretrainStep(step=step, tokens=seen, answer_loss=loss, note_loss=note_loss, minutes=now))
        if seen - saved >= checkpoint_tokens and seen < tokens:
            saved = seen
            progress = {"step": step, "tokens": seen, "minutes": now, "chunk": chunk, "batch": index + 1}
            progress |= {"answer_loss": loss, "note_loss": note_loss}
            checkpoint.save(out, model=model, optimiser=optimiser, progress=progress)
    minutes += (time.monotonic() - clock) / 60
    result = PretrainResult(folder=out, tokens=seen, minutes=minutes, answer_loss=loss)
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
    """Write an ordinary Hugging Face folder (bfloat16) and ``clinprompt.json`` with template and provenance."""
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


def _rows(
    tokenizer: PreTrainedTokenizerBase, *, seed: int, size: Size, total: int, chunk: int, skip: int
) -> Iterator[tuple[int, int, list[TokenRow]]]:
    """Endless fresh batches with the numbers of their chunk and batch; each chunk has its own seed."""
    mean_tokens = 150
    while True:
        rng = random.Random(f"pretraining {seed} {chunk}")
        short = chunk * _CHUNK * mean_tokens < _SHORT_SHARE * total
        conversations = [draw_conversation(rng, short=short) for _ in range(_CHUNK)]
        groups = batches(encode(conversations, tokenizer), tokens=size.batch_tokens, rng=rng)
        for index in range(skip, len(groups)):
            yield chunk, index, groups[index]
        chunk, skip = chunk + 1, 0
