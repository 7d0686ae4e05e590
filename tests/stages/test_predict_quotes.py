"""Extractive answers through the whole stage: their place is kept in every format."""

from __future__ import annotations

import csv
import json

import pytest

from clinprompt.data.readers import brat
from clinprompt.stages.predict import predict
from tests.made_notes import DRUGS
from tests.stages.test_predict import bank, opened, settings, speaking  # noqa: F401


@pytest.mark.parametrize(
    ("writer", "name", "options"),
    [("brat", "out", {}), ("table", "o.csv", {}), ("fhir", "o.json", {"resources": {"which": "Observation"}}),
     ("note_nlp", "o.csv", {}), ("conll", "o.tsv", {}), ("jsonl", "o.jsonl", {})],
)  # fmt: skip
def test_words_of_the_note_that_answer_a_question_keep_their_place(settings, opened, bank, writer, name, options):  # noqa: F811
    for place, note in enumerate(sorted(settings.notes.glob("*.txt"))):
        note.rename(note.with_name(f"{place}.txt"))  # note_nlp wants numbers
    texts = {note.stem: note.read_bytes().decode() for note in settings.notes.glob("*.txt")}
    out = settings.out.with_name(name)
    changed = {"writer": writer, "writer_options": options, "out": out, "prompts": (bank / "which.safetensors",)}
    with speaking(drugs=lambda text: " unanswerable" if texts["2"].strip() in text else f" {quoted(text)}"):
        report = predict(settings.model_copy(update=changed), opened=opened)
    places = {i: (texts[i].index(quoted(texts[i])), quoted(texts[i])) for i in ("0", "1")}
    assert report.answers == 3 and report.spans == 2
    assert report.lost.get("answers", 0) == (writer in ("brat", "fhir", "note_nlp", "conll"))  # that there is none
    if writer == "brat":
        found = {document.id: document for document in brat.read(out)}
        for i, (start, words) in places.items():
            [span] = found[i].spans
            assert (span.label, span.start, span.surface(found[i].text)) == ("which", start, words)
    if writer in ("table", "note_nlp"):
        rows = [row for row in csv.DictReader(out.read_text().splitlines()) if row.get("kind") != "answer"]
        said = {row.get("document") or row["note_id"]: int(row.get("start") or row["offset"]) for row in rows}
        assert said == {i: start for i, (start, _) in places.items()}
    if writer == "fhir":
        found = [one["resource"] for one in json.loads(out.read_text())["entry"]]
        told = [part for one in found if one["resourceType"] == "Observation" for part in one["extension"]]
        offsets = [inner["valueInteger"] for part in told for inner in part["extension"] if inner["url"] == "offset"]
        assert offsets == [start for start, _ in places.values()]
    if writer == "jsonl":
        for line in map(json.loads, out.read_text().splitlines()[:2]):
            assert [line["text"][span["start"] : span["end"]] for span in line["spans"]] == [places[line["id"]][1]]
            assert line["answers"] == {"which": places[line["id"]][1]}


def quoted(text):
    return min((drug for drug in DRUGS if drug in text), key=text.index)
