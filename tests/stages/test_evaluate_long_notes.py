"""Examples longer than the context are scored from windows, and what no window held is told."""

from __future__ import annotations

import json
from itertools import pairwise
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.data.extent import longest_item
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, save_prompt
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.configs import BackboneSettings, EvaluateSettings, LongNoteSettings
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.scores import read_scores
from tests.made_backbones import tiny_folder

FILLER = "Slept well and had no complaint of any kind on that day.\n" * 45


def write_long_notes(folder, count=8):
    """Notes of 2,600 characters: warfarin beside its dose, aspirin far from its dose."""
    folder.mkdir()
    for number in range(count):
        text, lines = "", []
        for kind, words, after in (
            ("Drug", "aspirin", ".\n" + FILLER), ("Drug", "warfarin", " "), ("Dose", f"{number} mg", ".\n" + FILLER[:300]),
            ("Dose", f"{number} g", ".\n"),
        ):  # fmt: skip
            lines.append(f"T{len(lines) + 1}\t{kind} {len(text)} {len(text) + len(words)}\t{words}\n")
            text += words + after
        lines += ["R1\tDose-Of Arg1:T3 Arg2:T2\n", "R2\tDose-Of Arg1:T4 Arg2:T1\n"]
        (folder / f"n{number}.txt").write_text(text)
        (folder / f"n{number}.ann").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("long")


@pytest.fixture(scope="module")
def opened(place):
    return open_backbone(BackboneSettings(path=str(tiny_folder(place / "tiny", seed=7))))


def prompt_of(kind, place, opened):
    """A prepared task of notes beyond the context, and a prompt for it."""
    data, file = place / kind.value, place / f"{kind.value}.safetensors"
    if not data.exists():
        notes = place / "notes"
        import_data(notes if notes.exists() else write_long_notes(notes), data, name=kind.value, reader="brat",
                    kind=kind, window=5000)  # fmt: skip
        vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(1)) * 0.3
        card = prompt_card(opened, open_prepared(data), method="prompt-tuning", vectors=vectors, placement="suffix",
                           trainable=128, run="r", seed=1)  # fmt: skip
        save_prompt(file, SoftPrompt(vectors, card))
    return data, file


def perfect(self, requests, generation, *, watch):
    """Says each drug, each dose, and each dose with the drug right before it."""
    said = []
    for request in requests:
        text, _, task = self.backbone.tokenizer.decode(list(request.row.context)).partition("<task>")
        found = [name for name in ("aspirin", "warfarin") if name in text]
        items = [f"drug: {name}" for name in found]
        words = text.removeprefix("<note>").split()
        for number, unit in pairwise(words):
            if number.isdigit() and unit in ("mg.", "g."):
                items.append(f"dose: {number} {unit[:-1]}")
                if "link" in task and unit == "mg." and "warfarin" in found:
                    items = [f"dose of: {number} mg > warfarin"]
        if "link" in task:
            items = [item for item in items if item.startswith("dose of")]
        said.append(RawAnswer(" " + ("; ".join(items) or "none"), 3, False))
    watch(len(said))
    return said


def scored(kind, place, opened, **long):
    data, file = prompt_of(kind, place, opened)
    settings = EvaluateSettings(
        adapted=file, targets=(data,), resamples=100, answer_tokens=16, long_notes=LongNoteSettings(**long)
    )
    advanced = []

    class Bar:
        def __enter__(self):
            return lambda rows=1, **_: advanced.append(rows)

        def __exit__(self, *_):
            return None

    with patch.object(LocalEngine, "answers", perfect):
        run = evaluate(settings, runs=place / "runs", opened=opened, progress=lambda name, total: Bar())
    [cell] = read_scores(run.path)
    assert sum(advanced) == len(open_prepared(data).part(Split.test))
    return run, cell


def test_spans_of_examples_beyond_the_context_are_scored(place, opened):
    run, cell = scored(TaskKind.entities, place, opened)
    long = cell["long_notes"]
    assert cell["scores"][0]["metric"] == "span-f1" and cell["scores"][0]["value"] == 100.0
    assert long["examples"] == cell["scores"][0]["n"] > 0 and long["windows"] >= 2 * long["examples"]
    assert (long["truncated"], long["spans_across"], long["strategies"]) == (0, 0, ["spans merged"])
    lines = (run.outputs / "entities" / "full" / "ledger.jsonl").read_text().splitlines()
    assert len(lines) == long["examples"] and json.loads(lines[0])["truncated"] == 0


def test_relations_that_no_window_holds_are_told(place, opened):
    _, cell = scored(TaskKind.relations, place, opened, overlap=200)
    long = cell["long_notes"]
    assert long["relations_across"] == long["examples"] > 0 and long["spans_across"] == 0
    assert cell["scores"][0]["metric"] == "relation-f1"
    assert cell["scores"][0]["value"] == pytest.approx(200 / 3)  # one of the two relations of each note


def test_the_card_says_how_long_the_longest_item_is(place, opened):
    for kind in (TaskKind.entities, TaskKind.relations):
        data, file = prompt_of(kind, place, opened)
        train = open_prepared(data).part(Split.train)
        expected = len("warfarin") if kind is TaskKind.entities else len(train[0].note.rstrip(".\n"))
        assert load_prompt(file).card.extent == expected == longest_item(train)
    assert longest_item([]) is None
