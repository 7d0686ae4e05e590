"""Assertion, time and person of mentions, the whole road: read, asked for, answered, scored, written."""

from __future__ import annotations

import csv
import json

import pytest

from clinprompt.data.readers import READERS
from clinprompt.data.writers import WRITERS
from clinprompt.evaluation.score import score_task
from clinprompt.schema.document import Document
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.importing import import_data
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.template import TEMPLATES

TEXT = "No fever. Possible gout. Had asthma in 1990. His mother has anemia. If cough comes back, call. Cough is new."
LINES = {
    "fever": "assertion {} absent",
    "gout": "Uncertainty {}",  # a flag
    "asthma": "temporality {} past",
    "anemia": "experiencer {} mother",  # one of the family
    "cough": "assertion {} hypothetical",
    "Cough": "",
}
NAMES = ("assertion", "temporality", "experiencer")
SAID = {
    "fever": ("absent", "current", "patient"),
    "gout": ("possible", "current", "patient"),
    "asthma": ("present", "past", "patient"),
    "anemia": ("present", "current", "family"),
    "cough": ("hypothetical", "current", "patient"),
    "Cough": ("present", "current", "patient"),
}


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(1, 13):
        rows, marks = [], []
        for place, (word, line) in enumerate(LINES.items(), 1):
            start = TEXT.index(word)
            rows.append(f"T{place}\tProblem {start} {start + len(word)}\t{word}\n")
            marks += [f"A{len(marks) + 1}\t{line.format(f'T{place}')}\n"] if line else []
        (folder / f"{number}.txt").write_text(TEXT)
        (folder / f"{number}.ann").write_text("".join(rows + marks))
    return folder


def test_what_is_said_of_a_mention_arrives_in_every_format(notes, tmp_path):
    task = import_data(notes, tmp_path / "data", name="asked", reader="brat", attributes=NAMES, seed=14).task
    example = open_prepared(tmp_path / "data").part(Split.test)[0]
    answer = formulate(example, task, TEMPLATES["markers"]).answer
    assert "problem, absent: fever" in answer and "problem, family: anemia" in answer and "problem: Cough" in answer
    found = read_back(answer, example, task)
    said = {span.surface(TEXT): tuple(span.attributes[name] for name in NAMES) for span in found.answer.spans}
    assert said == SAID
    scores = {one.metric: one.value for one in score_task(task, [example], [found], resamples=10).scores}
    assert {f"attribute-f1:{name}" for name in NAMES} < set(scores) and set(scores.values()) == {100.0}

    document = Document("7", TEXT, found.answer.spans)
    WRITERS["brat"]([document], tmp_path / "brat")
    [again] = READERS["brat"](tmp_path / "brat")
    assert {span.surface(TEXT): tuple(span.attributes[name] for name in NAMES) for span in again.spans} == SAID
    lost = WRITERS["fhir"]([document], tmp_path / "f.json", recorded="2026-01-31T08:00:00+00:00")
    assert lost == {"hypothetical": 1}
    made = [entry["resource"] for entry in json.loads((tmp_path / "f.json").read_text())["entry"]]
    status = {
        one["code"]["text"]: (one["verificationStatus"]["coding"][0]["code"], "clinicalStatus" in one)
        for one in made
        if one["resourceType"] == "Condition"
    }
    assert status == {
        "fever": ("refuted", False), "gout": ("provisional", False), "asthma": ("unconfirmed", True),
        "Cough": ("unconfirmed", False),
    }  # fmt: skip
    [family] = [one for one in made if one["resourceType"] == "FamilyMemberHistory"]
    assert (family["relationship"]["text"], family["condition"][0]["code"]["text"]) == ("family", "anemia")
    WRITERS["note_nlp"]([document], tmp_path / "n.csv", date="2026-01-31")
    with (tmp_path / "n.csv").open(newline="") as file:
        rows = {row["lexical_variant"]: row for row in csv.DictReader(file)}
    exists = {word: row["term_exists"] for word, row in rows.items()}
    assert exists == {"fever": "N", "gout": "Y", "asthma": "Y", "anemia": "N", "cough": "N", "Cough": "Y"}
    assert rows["asthma"]["term_temporal"] == "Past" and rows["fever"]["term_temporal"] == "Present"
    assert rows["gout"]["term_modifiers"] == (
        "assertion=possible;experiencer=patient;label=Problem;temporality=current;"
    )


@pytest.mark.parametrize(("name", "place"), [(name, place) for place, name in enumerate(NAMES)])
def test_each_attribute_is_a_question_of_its_own_too(notes, tmp_path, name, place):
    kind = {"attributes": [name], "kind": TaskKind.question_answering}
    import_data(notes, tmp_path / "data", name="asked", reader="brat", seed=14, **kind)
    examples = open_prepared(tmp_path / "data").part(Split.test)[: len(SAID)]
    said = {one.inputs["question"].partition(": ")[2]: one.answer.label for one in examples}
    # Alone, the assertion says of whom it is as well.
    assert said == {word: values[place] for word, values in SAID.items()} | (
        {"anemia": "family"} if name == "assertion" else {}
    )
