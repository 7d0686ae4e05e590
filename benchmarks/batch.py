"""Prediction over very many notes: shards that are kept one by one, against all notes in one.

    python -m benchmarks.batch [--notes 100000] [--rounds 1] [--only "dictionary"] [--models build] [--json]

Notes of 2 kB in JSON Lines, written as JSON Lines. A dictionary of drug names answers in place of a network, so what
is seen is everything else: reading, checking, shards of 1,000 notes, parts, joining. With a hundredth and a tenth of
the notes all in one shard must give the same bytes; told are notes per second, the peak of memory beyond what was
resident before, and by how many bytes a note the peak grows. The embedded backbone reads a hundredth of the notes,
200 characters each, with a random prompt and answers of one token.
Hardware: CPU of 2 cores, about ten minutes. There is no arithmetic in the dictionary: the dtype in a name means
nothing there.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, aim, run
from benchmarks.streaming import DRUGS, FORMS, LENGTH
from benchmarks.timing import Step
from clinprompt.backbones.protocol import Placement
from clinprompt.data.files import file_hash
from clinprompt.data.readers.jsonl import stream
from clinprompt.inference.reference import reference
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.schema.document import Span
from clinprompt.stages import predict as stage
from clinprompt.stages.batch.asked import Asked
from clinprompt.stages.batch.note_answer import NoteAnswer
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.engine_settings import BatchSettings
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.tasks.catalog import load_task

SHARDS, ONE = "shards float32", "one shard float32"
NOTES, QUICK = 100_000, 300
GROWTH = 32
"""Bytes a note: eight are kept of its name, and sorting them may take as many again."""
SHORT = 200
_DRUG = re.compile("|".join(DRUGS))


class Dictionary:
    """Finds drug names."""

    unconstrained, remarks = "", ()

    def answers(self, items: Sequence[Any], *, watch: Callable[[float], None]) -> list[NoteAnswer]:
        watch(1.0)
        return [NoteAnswer(len(item.text), tuple(_spans(item.text)), provenance={"engine": "local"}) for item in items]


def _spans(text: str) -> Iterator[Span]:
    for number, found in enumerate(_DRUG.finditer(text), 1):
        yield Span("drug", (found.span(),), f"T{number}")


def cases(options: Options) -> Iterator[Case]:
    """The dictionary with a hundredth, a tenth and all of the notes; the backbone with a hundredth."""
    notes = options.notes or (QUICK if options.quick else NOTES)
    for count in (notes // 100, notes // 10, notes):
        names = (SHARDS, ONE) if count < notes else (SHARDS,)
        yield Case(
            f"dictionary, {count} notes",
            {name: Variant(_build(options, name, count), "float32", like=ONE if len(names) > 1 else None)
             for name in names},
            unit="note",
            units=count,
            baselines={"one shard": (ONE,)} if len(names) > 1 else {},
            settings={"notes": count, "characters": LENGTH},
        )  # fmt: skip
    few = max(3, notes // 100) if options.quick else notes // 100
    yield Case(
        f"embedded backbone, {few} notes",
        {name: Variant(_build(options, name, few, embedded=True), "float32", like=ONE) for name in (SHARDS, ONE)},
        unit="note",
        units=few,
        baselines={"one shard": (ONE,)},
        settings={"notes": few, "characters": SHORT},
    )


def _build(options: Options, name: str, count: int, *, embedded: bool = False) -> Callable[[], Step]:
    source = options.models / f"{count} {'short ' if embedded else ''}notes.jsonl"
    shard = max(1, min(1000, count // 3)) if name == SHARDS else count

    def built() -> Step:
        if not source.exists():
            (_write_short if embedded else FORMS["jsonl"])(source, count)
        prompt = _prompt(options.models) if embedded else Path("none")

        def step() -> dict[str, torch.Tensor]:
            with tempfile.TemporaryDirectory() as folder:
                settings = PredictSettings(
                    prompts=(prompt,), notes=source, reader="jsonl", out=Path(folder) / "out.jsonl", writer="jsonl",
                    answer_tokens=1, batch=BatchSettings(shard=shard),
                )  # fmt: skip
                if embedded:
                    stage.predict(settings, opened=_opened())
                else:
                    with patch.object(stage, "_asked", lambda *_: (Dictionary(), Asked(()))):
                        stage.predict(settings)
                return {"written": torch.tensor(list(bytes.fromhex(file_hash(settings.out))))}

        return step

    return built


@cache
def _opened() -> Opened:
    return open_backbone(PredictSettings.model_fields["backbone"].default)


def _prompt(folder: Path) -> Path:
    """A random prompt of an entity task."""
    path, opened = folder / "random.safetensors", _opened()
    if not path.exists():
        size = (4, opened.backbone.hidden_size)
        vectors = torch.randn(size, generator=torch.Generator().manual_seed(0)) * float(
            opened.backbone.embeddings.std()
        )
        card = PromptCard(
            name="medications", task=load_task("medications"), placement="suffix", length=len(vectors),
            trainable=vectors.numel(), backbone=opened.identity, template=opened.template.name,
            template_hash=opened.template.hash, reference=reference(opened.backbone, vectors, Placement.suffix),
            method="prompt-tuning",
        )  # fmt: skip
        save_prompt(path, SoftPrompt(vectors, card))
    return path


def _write_short(path: Path, count: int) -> None:
    long = path.with_name(f"{path.name}.long")
    FORMS["jsonl"](long, count)
    with path.open("w", encoding="utf-8") as lines:
        for note in stream(long):
            lines.write(json.dumps({"id": note.id, "text": note.text[:SHORT]}) + "\n")


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Notes per second, and how far the peak grows with every note."""
    told: dict[str, Any] = {"notes per second": {}, "peak MB": {}}
    for line in lines:
        key = f"{line['case']}, {line['variant'].removesuffix(' float32')}"
        told["notes per second"][key] = round(1 / line["seconds per unit"], 1)
        if "memory" in line:
            told["peak MB"][key] = round(line["memory"]["step"] / 1e6, 1)
    if options.memory:
        told["aims"] = [_growth(lines)]
    return told


def _growth(lines: list[Line]) -> dict[str, Any]:
    """From a tenth of the notes to all of them: a hundredth is a single shard."""
    peaks = {
        line["settings"]["notes"]: line["memory"]["step"]
        for line in lines
        if line["case"].startswith("dictionary") and line["variant"] == SHARDS
    }
    reached = None
    if len(peaks) > 1:
        few, many = sorted(peaks)[-2:]
        reached = (peaks[many] - peaks[few]) / (many - few)
    return aim(f"the peak grows by at most {GROWTH} bytes a note", most=GROWTH, reached=reached)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("batch", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
