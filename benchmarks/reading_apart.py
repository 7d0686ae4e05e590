"""Questions of a many-label task, read by an encoder that reads question and text apart in its first layers.

    python -m benchmarks.reading_apart --threads 1 [--only "24 labels"] [--json]

Encoder, texts, questions and scorers are those of benchmarks/reading.py. The loop reads one pair at a time, as there:
the stock layers of the network on the question, on the text and, from the border on, on both ("loop"); its logits are
shown equal to ours first. "together" is the loop of benchmarks/reading.py, one pair at a time through the whole
network: the plain way to have the same questions answered, with other logits, because every layer sees both. Ours is
`EncoderBackbone.ask` and `read` with the placement `apart`, each time with nothing kept from the time before: a text is
read once for all labels, not once for all times. The loops end with logits, ours with answers.
Hardware: CPU of 2 cores, ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.case import Case, Line, Variant, fastest
from benchmarks.command import Options, aim, run
from benchmarks.reading import (
    LABELS,
    WORDS,
    Outcome,
    Work,
    asked,
    loop,
    model_folder,
    names_of,
    opened,
    scorers,
    stock,
    texts_of,
)
from benchmarks.timing import Step
from clinprompt.backbones.apart import layers_apart
from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.backbones.protocol import Placement, PromptVectors

LOOP, TOGETHER = "loop", "together"


def cases(options: Options) -> Iterator[Case]:
    """One case per number of labels; the more labels, the fewer texts."""
    folder = model_folder(options)
    for labels in LABELS[:2] if options.quick else LABELS:
        texts = texts_of(3 if options.quick else max(2, 32 // labels), longest=30 if options.quick else 300)
        yield _case(options, folder, labels, texts)


def _case(options: Options, folder: Path, labels: int, texts: Sequence[str]) -> Case:
    pairs = [(name, text) for text in texts for name in names_of(labels)]
    variants = {}
    for dtype, timed in options.all_dtypes.items():
        work = Work(folder, pairs, options.device, dtype)
        variants[f"{LOOP} {dtype}"] = _variant(halves, work, like=f"{LOOP} float32", timed=timed)
        variants[f"{TOGETHER} {dtype}"] = _variant(loop, work, like=f"{TOGETHER} float32", timed=timed)
        variants[f"ours, logits {dtype}"] = _variant(logits, work, like=f"{LOOP} float32", timed=False)
        variants[f"ours {dtype}"] = _variant(ours, work, like=None, timed=timed)
    ways = {way: tuple(f"{way} {dtype}" for dtype in options.all_dtypes) for way in (LOOP, TOGETHER)}
    plain = {f"{way} float32": (f"{way} float32",) for way in ways}
    return Case(
        f"{labels} label{'s' if labels > 1 else ''}",
        variants,
        unit="question",
        units=len(pairs),
        baselines=ways | plain,
        settings={"labels": labels, "texts": len(texts), "layers apart": layers_apart(_layers(folder, options))},
    )


def _variant(way: Any, work: Work, *, like: str | None, timed: bool) -> Variant:
    return Variant(lambda: way(work), work.dtype, like=like, timed=timed)


def _layers(folder: Path, options: Options) -> int:
    return opened(folder, "float32", options.device).n_layers


def halves(work: Work) -> Step:
    """The stock layers on question and text of one pair at a time, apart and then together."""
    model = stock(work.folder, work.dtype, work.device)
    backbone = opened(work.folder, work.dtype, work.device)
    layers, embedded = model.bert.encoder.layer, model.bert.embeddings
    border, lead = layers_apart(len(layers)), len(backbone.layout.before)
    weight, bias = (_scorers(work.folder)[name][0].to(model.qa_outputs.weight) for name in ("edges", "edge_bias"))

    def through(states: Tensor, some: Any) -> Tensor:
        for layer in some:
            states = layer(states)
        return states

    def read(tokens: Sequence[int], kinds: Sequence[int]) -> Tensor:
        ids, types = (torch.tensor([values], device=work.device) for values in (tokens, kinds))
        return through(embedded(input_ids=ids, token_type_ids=types), layers[:border])

    def step() -> Outcome:
        found = []
        with torch.no_grad():
            for row in asked(backbone, work.pairs):
                begin, kinds = row.tokens[:lead], row.segments[:lead]
                question = read(row.tokens[: row.first], row.segments[: row.first])
                text = read(begin + row.tokens[row.first :], kinds + row.segments[row.first :])[:, lead:]
                states = through(torch.cat([question, text], dim=1), layers[border:])
                found.append(torch.nn.functional.linear(states[0, row.first : row.last], weight, bias))
        return {"edges": torch.cat(found)}

    return step


def ours(work: Work) -> Step:
    """Ask every question and read all rows, nothing being kept from before: texts to answers."""

    def step() -> Outcome:
        backbone = anew(work)
        rows = asked(backbone, work.pairs)
        found = backbone.read(rows, _prompts(backbone, work, len(rows)))
        return {"answers": torch.tensor([[b, one.first, one.last] for b, some in enumerate(found) for one in some])}

    return step


def logits(work: Work) -> Step:
    """The logits that answers are read from, for comparison."""

    def step() -> Outcome:
        backbone = anew(work)
        rows, notes = asked(backbone, work.pairs), backbone.note_cache(together=True)
        with torch.no_grad():
            parts = [rows[at : at + 16] for at in range(0, len(rows), 16)]
            given = _prompts(backbone, work, 1)
            edges = [backbone.forward(some, _of(given, some), notes=notes).edges for some in parts]
        return {"edges": torch.cat(edges)}

    return step


@cache
def _scorers(folder: Path) -> dict[str, Tensor]:
    """Those of benchmarks/reading.py, with a bias by which one token in eight is found in this way of reading."""
    work = Work(folder, [("drug", " ".join(WORDS[:20]))], "cpu", "float32")
    backbone, heads = anew(work), scorers(folder)
    given = PromptVectors(torch.zeros(1, 0, backbone.hidden_size), Placement.apart, (0,), heads=heads)
    found = backbone.forward(asked(backbone, work.pairs), given).edges.detach()
    return heads | {"edge_bias": heads["edge_bias"] - torch.quantile(found, 1 - 1 / 8, dim=0)[None]}


def anew(work: Work) -> EncoderBackbone:
    """Our backbone, that has read nothing yet."""
    used = opened(work.folder, work.dtype, work.device)
    return EncoderBackbone(
        used.model,
        used.tokenizer,
        fingerprint=used.fingerprint,
        tokenizer_fingerprint=used.tokenizer_fingerprint,
        name=used.name,
    )


def _prompts(backbone: EncoderBackbone, work: Work, rows: int) -> PromptVectors:
    none = torch.zeros(1, 0, backbone.hidden_size)
    return PromptVectors(none, Placement.apart, (0,) * rows, heads=_scorers(work.folder))


def _of(prompts: PromptVectors, rows: Sequence[Any]) -> PromptVectors:
    return replace(prompts, owner=(0,) * len(rows))


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Whether ours is three times as fast as both loops on many labels."""
    many = [f"{labels} labels" for labels in LABELS if labels >= 8]
    aims = []
    for way, told in ((LOOP, "the same reading, pair by pair"), (TOGETHER, "every layer together, pair by pair")):
        for than, number in ((way, "each in its faster dtype"), (f"{way} float32", "the loop in float32")):
            found = [fastest(lines, case=name, prefix="ours", than=than) for name in many]
            reached = [value for value in found if value is not None]
            text = f"questions of 8 and more labels, against {told}, {number}, the least of the cases"
            aims.append(aim(text, least=3.0, reached=min(reached, default=None)))
    return {"aims": aims}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("reading_apart", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
