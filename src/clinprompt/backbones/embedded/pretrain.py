"""Train the embedded language model from nothing, on all cores of one machine."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from clinprompt.backbones.embedded import causal_attention, checkpoint
from clinprompt.backbones.embedded.corpus import (
    Conversation,
    Role,
    TokenRow,
    batches,
    collate,
    draw_conversation,
    encode,
    pieces,
)
from clinprompt.backbones.embedded.export import export
from clinprompt.backbones.embedded.initialise import build_induction_heads
from clinprompt.backbones.embedded.progress import Progress, cut_curve, extend_curve
from clinprompt.backbones.embedded.size import Size
from clinprompt.backbones.embedded.team import ALONE, Team, gathered
from clinprompt.backbones.embedded.tokenizer import train_tokenizer
from clinprompt.errors import InputError

# Mean length of a sequence: only to place the border of the short notes.
_MEAN_TOKENS = 150
# The first tenth of the tokens is short notes: lists of one section before lists of five.
_SHORT_SHARE = 0.1
# Notes are learnt too, from a quarter of their tokens at a third of the weight; one-token decisions would
# drown in the mean over answer tokens.
_NOTE_SHARE, _NOTE_WEIGHT = 0.25, 0.3
_DECISIVE_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Run:
    """What is trained, and for how long; equal runs end with equal weights."""

    tokens: int
    seed: int
    processes: int
    size: Size


@dataclass(frozen=True, slots=True)
class PretrainResult:
    """The finished folder with what it took."""

    folder: Path
    tokens: int
    minutes: float
    answer_loss: float


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
    report: Callable[[Progress], None],
    size: Size | None = None,
    processes: int = 1,
    learning_rate: float | None = None,
    checkpoint_tokens: int = 2_000_000,
    curve_tokens: int = 200_000,
) -> PretrainResult:
    """Train until ``tokens`` padded tokens are read and write a Hugging Face folder to ``out``.

    ``processes`` of one thread each share every update; the tokens are counted over all of them, and the schedule
    counts tokens, not minutes. ``learning_rate`` replaces that of the size. Every ``curve_tokens`` a line is added to
    ``pretraining.jsonl``, which stays in ``out``. A checkpoint is kept there every ``checkpoint_tokens``; an
    interrupted run goes on from it as if nothing had happened, and it is removed at the end. Raises
    :class:`InputError` for a checkpoint of other settings and when a process dies.
    """
    if tokens < 1 or processes < 1:
        raise InputError("tokens and processes must be at least 1", where=f"{tokens} tokens, {processes} processes")
    size = size or Size()
    run = Run(tokens, seed, processes, replace(size, learning_rate=learning_rate or size.learning_rate))
    checkpoint.refuse_another_run(out, asdict(run))
    tokenizer = corpus_tokenizer(seed=seed, notes=size.tokenizer_notes, vocabulary=size.vocabulary)
    with gathered(processes, partial(_train, run, tokenizer, out)) as team:
        model, ended = _train(
            run, tokenizer, out, team, report=report, checkpoint_tokens=checkpoint_tokens, curve_tokens=curve_tokens
        )
    export(out, model=model, tokenizer=tokenizer, seed=seed, size=run.size, processes=processes, ended=ended)
    (out / checkpoint.FILE).unlink(missing_ok=True)
    return PretrainResult(out, ended.tokens, ended.minutes, ended.answer_loss)


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
    model: LlamaForCausalLM,
    optimiser: torch.optim.Optimizer,
    batch: list[TokenRow],
    *,
    seed: int,
    pad: int,
    team: Team = ALONE,
) -> tuple[float, float, int]:
    """One update from the mean gradient of all processes' batches, made alike by each of them.

    Returns the mean answer loss, the mean note loss, and the padded tokens that all of them read.
    """
    answer, note, count = gradients(model, batch, seed=seed, pad=pad)
    if team.size > 1:
        slopes = [parameter.grad for parameter in model.parameters()]
        numbers = torch.cat([parameters_to_vector(slopes), torch.tensor([answer, note, count])])
        team.mean(numbers)
        vector_to_parameters(numbers[:-3], slopes)
        answer, note, count = numbers[-3].item(), numbers[-2].item(), round(numbers[-1].item() * team.size)
    clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return answer, note, count


def gradients(model: LlamaForCausalLM, batch: list[TokenRow], *, seed: int, pad: int) -> tuple[float, float, int]:
    """Add a batch's gradients to the model; its mean answer loss, mean note loss, and padded tokens."""
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
    values = losses.detach()
    return values[is_answer].mean().item(), values[~is_answer].mean().item(), ids.numel()


def own_batches(run: Run, chunk: int, tokenizer: PreTrainedTokenizerBase, *, rank: int) -> list[list[TokenRow]]:
    """The fresh batches that the process of this number draws for a chunk, in random order."""
    conversations, rng = own_conversations(run, chunk, rank=rank)
    return batches(encode(conversations, tokenizer), tokens=run.size.batch_tokens // run.processes, rng=rng)


def own_conversations(run: Run, chunk: int, *, rank: int) -> tuple[list[Conversation], random.Random]:
    """The conversations that the process of this number draws for a chunk, and the chance that goes on from there."""
    at_a_time = run.size.sequences_at_a_time
    rng = random.Random(f"pretraining {run.seed} {chunk} {rank}")
    short = chunk * at_a_time * run.processes * _MEAN_TOKENS < _SHORT_SHARE * run.tokens
    return [draw_conversation(rng, short=short) for _ in range(at_a_time)], rng


def chunks_of(run: Run) -> int:
    """About how many chunks a run reads."""
    return math.ceil(run.tokens / (run.size.sequences_at_a_time * run.processes * _MEAN_TOKENS))


def shared_order(groups: list[list[TokenRow]], *, count: int, seed: str) -> list[list[TokenRow]]:
    """The first ``count`` batches in an order of lengths that depends on the seed only.

    Processes that agree on count and seed take batches of like length together, and none waits long for another.
    """
    chosen = sorted(groups[:count], key=lambda group: max(len(row.ids) for row in group))
    random.Random(seed).shuffle(chosen)
    return chosen


def _batches(
    run: Run, start: Progress, tokenizer: PreTrainedTokenizerBase, team: Team
) -> Iterator[tuple[int, int, list[TokenRow]]]:
    """Endless batches of this process with the numbers of their chunk and batch."""
    chunk, skip = start.chunk, start.batch
    while True:
        own = own_batches(run, chunk, tokenizer, rank=team.rank)
        groups = shared_order(own, count=team.least(len(own)), seed=f"order {run.seed} {chunk}")
        for index in range(skip, len(groups)):
            yield chunk, index, groups[index]
        chunk, skip = chunk + 1, 0


def _train(
    run: Run,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    team: Team,
    *,
    report: Callable[[Progress], None] | None = None,
    checkpoint_tokens: int = 0,
    curve_tokens: int = 0,
) -> tuple[LlamaForCausalLM, Progress]:
    """One process's whole training; only the leader has a ``report``, and writes files."""
    size = run.size
    model = new_model(size, seed=run.seed, tokenizer=tokenizer)
    model.set_attn_implementation(causal_attention.NAME)
    optimiser = new_optimiser(model)
    now = Progress(**(checkpoint.load(out, model=model, optimiser=optimiser) or {}))
    if report:
        cut_curve(out, tokens=now.tokens)
    before, clock = now.minutes, time.monotonic()
    for chunk, index, batch in _batches(run, now, tokenizer, team):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(size, step=now.step, progress=now.tokens / run.tokens)
        answer, note, count = train_step(
            model,
            optimiser,
            batch,
            seed=run.seed + now.step * team.size + team.rank,
            pad=tokenizer.pad_token_id,
            team=team,
        )
        minutes, last = before + (time.monotonic() - clock) / 60, now.tokens
        now = now.after(chunk, index, tokens=count, answer_loss=answer, note_loss=note, minutes=minutes)
        ended = now.tokens >= run.tokens
        if report:
            if ended or _passed(last, now.tokens, every=curve_tokens):
                extend_curve(out, now)
            if not ended and _passed(last, now.tokens, every=checkpoint_tokens):
                checkpoint.save(out, model=model, optimiser=optimiser, run=asdict(run), progress=asdict(now))
            report(now)
        if ended:
            return model, now


def _passed(last: int, now: int, *, every: int) -> bool:
    """Whether a multiple of ``every`` lies between the two counts."""
    return now // every > last // every


def new_optimiser(model: LlamaForCausalLM) -> torch.optim.Optimizer:
    """AdamW whose decay spares embeddings and norms; the rate is set at every step."""
    decayed = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)


def rate_at(size: Size, *, step: int, progress: float) -> float:
    """The rate of a step: warm-up over steps, then level, then down to 3 % over the last 70 % of the tokens."""
    return (
        size.learning_rate * min(1.0, (step + 1) / size.warm_up_steps) * (1.0 - 0.97 * max(0.0, (progress - 0.3) / 0.7))
    )
