"""Long notes through the whole predict stage: windows, ledger, sections, and answers of several windows."""

from __future__ import annotations

import json

from clinprompt.data.readers import brat, jsonl
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, save_prompt
from clinprompt.schema.example import TaskKind
from clinprompt.stages.configs import LongNoteSettings
from clinprompt.stages.predict import predict
from tests.made_notes import DRUGS
from tests.stages.test_predict import bank, entities, opened, settings, speaking  # noqa: F401 (fixtures)

# ruff: noqa: F811


def long_note(folder, *, between=12):
    """A note of several thousand characters: each drug with its dose in a section of its own."""
    filler = "Slept well and had no complaint of any kind on that day.\n" * between
    heads = ("HISTORY OF PRESENT ILLNESS:", "Home meds:", "FAMILY HISTORY", "Plan:")
    parts = [f"{head}\nTakes {drug} 5 mg.\n{filler}\n" for head, drug in zip(heads, DRUGS, strict=True)]
    (folder / "long.txt").write_text("".join(parts))
    return "".join(parts)


def ledger(settings):
    name = "ledger.jsonl" if settings.writer == "brat" else f"{settings.out.name}.ledger.jsonl"
    file = settings.out / name if settings.writer == "brat" else settings.out.with_name(name)
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_long_note_is_read_whole_and_the_ledger_says_so(settings, opened, bank):
    text = long_note(settings.notes)
    changed = settings.model_copy(update={"prompts": (bank / "drugs.safetensors", bank / "links.safetensors"),
                                          "window": 300})  # fmt: skip
    with speaking():
        report = predict(changed, opened=opened)
    [document] = [one for one in brat.read(settings.out) if one.id == "long"]
    assert {span.surface(text): span.start for span in document.spans if span.label == "Drug"} == {
        drug: text.index(drug) for drug in DRUGS
    }
    lines = [line for line in ledger(changed) if line["note"] == "long"]
    assert [line["task"] for line in lines] == ["drugs", "links"] and report.windowed == 1
    for line in lines:
        assert line["strategy"] == "spans merged" and line["windows"] > 8
        assert line["characters"] == len(text) == line["read"] + line["blank"] and line["truncated"] == 0
        assert 0 < line["overlap"] <= 150
    # Of the four drugs and four doses only a dose and its own drug share a window.
    assert [line["pairs_apart"] for line in lines] == [0, 12]
    assert report.truncated == 0 and report.pairs_apart == 12 and report.overlaps == {}
    assert report.windows == sum(line["windows"] for line in ledger(changed))
    assert json.loads((settings.out / "provenance.json").read_text())["long_notes"] == dict.fromkeys(
        ("drugs", "links"), "spans merged"
    )


def test_windows_can_be_measured_in_tokens(settings, opened):
    text = long_note(settings.notes)
    changed = settings.model_copy(update={"long_notes": LongNoteSettings(window_tokens=200, overlap=30)})
    seen = []
    with speaking(drugs=lambda part: seen.append(len(part)) or entities(part)):
        predict(changed, opened=opened)
    assert 150 < max(seen) <= 200  # a byte is a token here
    assert all(line["truncated"] == 0 and line["overlap"] >= 30 for line in ledger(changed) if line["windows"] > 1)
    [document] = [one for one in brat.read(settings.out) if one.id == "long"]
    assert sorted(span.start for span in document.spans) == sorted(text.index(drug) for drug in DRUGS)


def test_overlaps_shorter_than_the_longest_item_are_told(settings, opened):
    long_note(settings.notes)
    changed = settings.model_copy(update={"long_notes": LongNoteSettings(overlap=2)})
    with speaking():
        report = predict(changed, opened=opened)
    longest = max(len(drug) for drug in DRUGS)
    [(task, (shared, extent))] = report.overlaps.items()
    assert task == "drugs" and 2 <= shared < extent == longest
    assert load_prompt(settings.prompts[0]).card.extent == longest


def test_spans_can_carry_their_section(settings, opened):
    text = long_note(settings.notes)
    rules = settings.notes.parent / "rules.yaml"
    rules.write_text("sections: {next-steps: [plan]}")
    out = settings.out.with_suffix(".jsonl")
    changed = settings.model_copy(update={"mark_sections": True, "writer": "jsonl", "out": out,
                                          "long_notes": LongNoteSettings(sections=rules)})  # fmt: skip
    with speaking():
        predict(changed, opened=opened)
    [document] = [one for one in jsonl.read(out) if one.id == "long"]
    found = {span.surface(text): span.attributes for span in document.spans}
    names = dict(zip(DRUGS, ("hpi", "admission-medications", "family-history", "next-steps"), strict=True))
    assert found == {drug: {"section": name} for drug, name in names.items()}
    assert len(ledger(changed)) == 4


def test_a_class_and_a_summary_of_a_note_longer_than_the_context(settings, opened, bank):
    long_note(settings.notes, between=20)
    flag = load_prompt(bank / "flag.safetensors")
    task = flag.card.task.model_copy(
        update={"name": "brief", "kind": TaskKind.summarisation, "codec": "free_text", "labels": (), "verbalizer": {}}
    )
    brief = bank / "brief.safetensors"
    save_prompt(brief, SoftPrompt(flag.vectors, flag.card.model_copy(update={"name": "brief", "task": task})))
    out = settings.out.with_suffix(".jsonl")
    changed = settings.model_copy(update={"prompts": (bank / "flag.safetensors", brief), "writer": "jsonl", "out": out,
                                          "long_notes": LongNoteSettings(summaries="joined")})  # fmt: skip
    with speaking(drugs=lambda text: f" {len(text.split())} words"):
        predict(changed, opened=opened)
    [line] = [one for one in map(json.loads, out.read_text().splitlines()) if one["id"] == "long"]
    assert line["answers"]["flag"] in flag.card.task.labels
    assert len(line["answers"]["brief"].splitlines()) == 4
    strategies = {one["task"]: (one["strategy"], one["windows"], one["truncated"]) for one in ledger(changed)[-8:]
                  if one["note"] == "long"}  # fmt: skip
    assert strategies == {"flag": ("surest choice", 4, 0), "brief": ("summaries joined", 4, 0)}
    assert line["provenance"]["long_notes"] == {"flag": "surest choice", "brief": "summaries joined"}
