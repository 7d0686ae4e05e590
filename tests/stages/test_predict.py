"""Prediction through the whole stage: random answers give counted faults, good answers give exact places."""

import csv
import json
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import RawAnswer
from clinprompt.data.files import file_hash
from clinprompt.data.readers import brat
from clinprompt.errors import InputError
from clinprompt.inference.constraint import Unconstrainable
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, save_prompt
from clinprompt.schema.example import TaskKind
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.configs import BackboneSettings, DecodingSettings, LongNoteSettings, PredictSettings
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.prepared import open_prepared
from tests.made_backbones import tiny_folder
from tests.made_notes import CANARY, DRUGS, write_notes


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("tiny"), seed=7))))


@pytest.fixture(scope="module")
def bank(opened, tmp_path_factory):
    """Prompts of an entity, a relation and a class task, each with its card."""
    folder = tmp_path_factory.mktemp("bank")
    notes = write_notes(folder / "notes")
    for name, kind in (("drugs", TaskKind.entities), ("links", TaskKind.relations)):
        import_data(notes, folder / "data" / name, name=name, reader="brat", kind=kind, window=45)
    for seed, name in enumerate(("drugs", "links")):
        prepared = open_prepared(folder / "data" / name)
        save(folder / f"{name}.safetensors", opened, prepared, seed=seed)
        if name == "drugs":
            task = prepared.task.model_copy(
                update={"name": "flag", "kind": TaskKind.inference, "codec": "labels", "relations": {}, "data": None}
            )
            save(folder / "flag.safetensors", opened, replace(prepared, task=task), seed=9)
            asked = {"name": "which", "kind": TaskKind.question_answering, "codec": "quote", "labels": ()}
            task = task.model_copy(update={**asked, "verbalizer": {}})
            save(folder / "which.safetensors", opened, replace(prepared, task=task), seed=8)
    return folder


def save(path, opened, prepared, *, seed):
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(seed)) * 0.3
    card = prompt_card(
        opened, prepared, method="prompt-tuning", vectors=vectors, placement="suffix", trainable=128, run="r", seed=1
    )
    save_prompt(path, SoftPrompt(vectors, card))


@pytest.fixture
def settings(bank, tmp_path):
    return PredictSettings(
        prompts=(bank / "drugs.safetensors",), notes=write_notes(tmp_path / "notes", 3, annotated=False),
        out=tmp_path / "out", answer_tokens=8,
    )  # fmt: skip


def entities(text):
    """Drug names in the order of the text: what a good model of the entity task would say."""
    found = sorted((text.index(drug), drug) for drug in DRUGS if drug in text)
    return " " + ("; ".join(f"drug: {drug}" for _, drug in found) or "none")


def links(text):
    """The dose before or after each drug, as the relation task's answer; none where a window cuts the pair."""
    items = []
    for drug in DRUGS:
        after = text.partition(drug)[2].split()
        if drug in text and len(after) > 1 and after[0].isdigit() and after[1].startswith("mg"):
            items.append(f"dose of: {after[0]} mg > {drug}")
    return " " + ("; ".join(items) or "none")


def speaking(*, drugs=entities, links=links, flag=lambda text: " drug"):
    """A backbone that reads the row back into text and answers by the task's instruction."""

    def answers(self, requests, generation, *, watch):
        said = []
        for request in requests:
            whole = self.backbone.tokenizer.decode(list(request.row.context))
            text, _, instruction = whole.removeprefix("<note>").partition("<task>")
            assert request.vectors.shape == (4, 32)
            speaks = links if "link" in instruction else drugs
            said.append(RawAnswer(speaks(text), 3, False))
        return said

    return patch.object(LocalEngine, "answers", answers)


def test_spans_whose_words_stand_in_several_places_can_be_marked(settings, opened):
    twice, once = DRUGS[:2]
    (settings.notes / "repeats.txt").write_text(f"{twice}, {once}; no {twice}")
    with speaking():
        predict(settings.model_copy(update={"mark_ambiguous": True}), opened=opened)
    [found] = [document for document in brat.read(settings.out) if document.id == "repeats"]
    said = [(span.start, dict(span.attributes)) for span in found.spans]
    assert said == [(0, {"ambiguous": "yes"}), (len(twice) + 2, {})]


def test_answers_that_say_nothing_readable_give_no_span_and_are_counted(settings, opened):
    free = DecodingSettings(grounded=False)
    report = predict(settings.model_copy(update={"decoding": free}), opened=opened)
    assert set(report.grounding) == {"checked"} and not report.unconstrained
    assert (report.notes, report.spans, report.relations) == (3, 0, 0)
    assert report.decoding.items > 0 and report.decoding.items == report.decoding.unreadable
    assert report.decoding.truncated > 0
    documents = brat.read(settings.out)
    assert [document.text for document in documents] == [
        (settings.notes / f"{document.id}.txt").read_bytes().decode() for document in documents
    ]
    assert not any(document.spans for document in documents)


def test_a_random_network_too_quotes_the_note_and_names_labels_of_the_task(settings, opened, bank):
    both = (bank / "drugs.safetensors", bank / "links.safetensors")
    report = predict(settings.model_copy(update={"prompts": both, "answer_tokens": 40}), opened=opened)
    assert report.decoding.items > report.decoding.truncated and report.decoding.unlocated == 0
    assert report.decoding.unreadable <= report.decoding.truncated  # cut before the first item was whole
    assert report.grounding == {"constrained": 2 * report.notes}
    documents = brat.read(settings.out)  # refuses a surface that is not the text at its offsets
    assert {span.label for document in documents for span in document.spans} <= {"Drug", "Dose"}
    assert json.loads((settings.out / "provenance.json").read_text())["grounding"] == report.grounding


def test_a_backbone_that_cannot_be_constrained_is_checked_and_told(settings, opened):
    reason = Unconstrainable("the tokenizer is of a kind without constraints (ValueError)")
    with patch("clinprompt.stages.opened.grammars_of", return_value=reason):
        report = predict(settings, opened=opened)
    assert set(report.grounding) == {"checked"} and "without constraints" in report.unconstrained
    assert report.decoding.items == report.decoding.unreadable


@pytest.mark.parametrize("window", [40, 47, 60, 2000])
def test_every_span_and_relation_is_at_its_place_in_the_note_whatever_the_window(settings, opened, bank, window):
    both = (bank / "drugs.safetensors", bank / "links.safetensors")
    with speaking():
        report = predict(settings.model_copy(update={"prompts": both, "window": window}), opened=opened)
    documents = brat.read(settings.out)  # refuses a surface that is not the text at its offsets
    assert sum(len(document.spans) for document in documents) == report.spans
    for document in documents:
        drugs = [span for span in document.spans if span.label == "Drug"]
        expected = sorted(document.text.index(drug) for drug in DRUGS if drug in document.text)
        assert sorted(span.start for span in drugs) == expected and len(expected) == 2
        assert {span.surface(document.text) for span in drugs} <= set(DRUGS)
        assert len({span.key for span in document.spans}) == len(document.spans)
        for relation in document.relations:
            dose, drug = document.span(relation.head), document.span(relation.tail)
            assert (dose.label, drug.label) == ("Dose", "Drug")
            assert dose.start == drug.end + 1  # the dose of this very drug
    if window >= 60:
        assert report.relations == 6 and report.windows == (6 if window == 2000 else report.windows)
    assert report.decoding.unlocated == report.decoding.unreadable == 0


def test_words_that_are_not_in_the_note_are_left_out_and_counted(settings, opened):
    with speaking(drugs=lambda text: " drug: morphine; drug: " + entities(text).split(": ")[-1] + "; pill: x"):
        report = predict(settings.model_copy(update={"window": 2000}), opened=opened)
    assert report.spans == 3 and report.decoding.unlocated == 3 and report.decoding.unreadable == 3
    assert "morphine" not in "".join(file.read_text() for file in settings.out.glob("*.ann"))


def test_a_window_of_the_settings_goes_before_the_tasks_own(settings, opened):
    seen = []

    def listen(text):
        seen.append(len(text))
        return " none"

    with speaking(drugs=listen):
        predict(settings, opened=opened)
        assert max(seen) <= 45 and len(seen) > 3  # the window that the task was imported with
        seen.clear()
        predict(settings.model_copy(update={"window": 2000, "out": settings.out.with_name("b")}), opened=opened)
        assert len(seen) == 3


def test_jsonl_holds_spans_answers_and_where_they_come_from(settings, opened, bank):
    out = settings.out.with_suffix(".jsonl")
    prompts = (bank / "drugs.safetensors", bank / "flag.safetensors")
    with speaking(drugs=lambda text: entities(text) if "\n" not in text.strip() else " drug"):
        report = predict(settings.model_copy(update={"prompts": prompts, "out": out, "writer": "jsonl"}), opened=opened)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["n0", "n1", "n2"] and report.answers == 3
    for line in lines:
        assert line["answers"] == {"flag": "Drug"}
        assert line["provenance"]["backbone"] == opened.backbone.fingerprint
        assert [prompt["task"] for prompt in line["provenance"]["prompts"]] == ["drugs", "flag"]


def test_every_format_can_be_predicted_into(settings, opened):
    out = settings.out.with_suffix(".json")
    changed = {"writer": "label_studio", "writer_options": {"unit": "utf16", "source": "predictions"}, "out": out}
    with speaking(drugs=entities):
        report = predict(settings.model_copy(update=changed), opened=opened)
    (first, *_) = tasks = json.loads(out.read_text())
    assert len(tasks) == 3 and report.lost == {} and report.spans == 6
    assert opened.backbone.fingerprint in first["predictions"][0]["model_version"]
    conll = {"writer": "conll", "out": settings.out.with_suffix(".tsv")}
    with speaking(drugs=entities):
        assert predict(settings.model_copy(update=conll), opened=opened).lost == {}


def test_what_a_format_refuses_is_refused_before_the_notes_are_read(settings, opened, bank, monkeypatch):
    monkeypatch.setattr(LocalEngine, "answers", lambda *_, **__: pytest.fail("notes were read for nothing"))
    refused(settings, opened, "note_id", writer="note_nlp", out=settings.out.with_suffix(".csv"))
    refused(settings, opened, "no writer named 'brot'", writer="brot")
    refused(settings, opened, "no option of the writer", writer_options={"unti": "byte"})


def test_blank_notes_are_written_without_an_answer(settings, opened):
    (settings.notes / "empty.txt").write_text("")
    (settings.notes / "blank.txt").write_text(" \n ")
    with speaking():
        report = predict(settings, opened=opened)
    assert report.notes == 5
    assert (settings.out / "blank.txt").read_text() == " \n " and (settings.out / "empty.ann").read_text() == ""


def refused(settings, opened, match, **changed):
    before = sorted(settings.notes.parent.rglob("*"))
    with pytest.raises(InputError, match=match) as caught:
        predict(settings.model_copy(update=changed), opened=opened)
    assert sorted(settings.notes.parent.rglob("*")) == before
    assert CANARY not in str(caught.value)


def test_an_output_that_is_there_is_refused_before_anything_is_read(settings, opened, monkeypatch):
    monkeypatch.setattr(LocalEngine, "answers", lambda *_, **__: pytest.fail("notes were read for nothing"))
    settings.out.mkdir()
    (settings.out / "old.ann").write_text("")
    refused(settings, opened, "there already")
    file = settings.out / "old.ann"
    refused(settings, opened, "there already", out=file)
    refused(settings, opened, "there already", out=file, writer="jsonl")
    refused(settings, opened, "there already", writer="jsonl")


def test_what_cannot_be_predicted_together_is_refused(settings, opened, bank):
    drugs, flag = bank / "drugs.safetensors", bank / "flag.safetensors"
    refused(settings, opened, "brat holds spans and relations only", prompts=(drugs, flag))
    refused(settings, opened, "two prompts answer the task drugs", prompts=(drugs, drugs))
    other = load_prompt(drugs)
    card = other.card.model_copy(update={"template_hash": "0" * 16, "name": "x"})
    save_prompt(bank / "strange.safetensors", SoftPrompt(other.vectors, card))
    refused(settings, opened, "another template", prompts=(bank / "strange.safetensors",))


def test_a_silenced_prompt_is_refused(settings, opened):
    true = CausalBackbone.forward
    with patch.object(CausalBackbone, "forward", lambda self, rows, prompts, **more: true(self, rows, None, **more)):
        refused(settings, opened, "no effect")


def test_a_failing_note_leaves_nothing_behind(settings, opened):
    (settings.notes / "zz.txt").write_bytes(b"\xff\xfe broken")
    refused(settings, opened, "UTF-8")
    (settings.notes / "zz.txt").write_text(f"{CANARY} " * 400)
    refused(settings, opened, "leave no room for the note", answer_tokens=2000)
    refused(settings, opened, "cannot overlap by 45", window=45, long_notes=LongNoteSettings(overlap=45))
    rules = settings.notes.parent / "rules.yaml"
    refused(settings, opened, "cannot be read", long_notes=LongNoteSettings(sections=rules))


def test_brat_files_come_with_what_made_them(settings, opened, bank):
    predict(settings, opened=opened)
    written = json.loads((settings.out / "provenance.json").read_text())
    [prompt] = written["prompts"]
    assert prompt["task"] == "drugs" and prompt["sha256"] == file_hash(bank / "drugs.safetensors")
    assert written["backbone"] == opened.backbone.fingerprint
    assert "greedy" in written["decoding"]
    assert brat.read(settings.out)


def test_a_column_of_a_table_is_read_as_notes(settings, opened, tmp_path):
    texts = {file.stem: file.read_bytes().decode() for file in sorted(settings.notes.glob("*.txt"))}
    table = tmp_path / "notes.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("row", "remark"), *texts.items()])
    changed = {"notes": table, "reader": "csv_table", "reader_options": {"note": "remark", "id": "row"}}
    with speaking():
        report = predict(settings.model_copy(update=changed), opened=opened)
    documents = brat.read(settings.out)
    assert {document.id: document.text for document in documents} == texts
    assert report.spans == sum(len(document.spans) for document in documents) == 6
    changed["reader_options"] = {"notes": "remark"}
    refused(settings, opened, "option of the reader 'csv_table' named 'notes'", **changed, out=tmp_path / "other")
