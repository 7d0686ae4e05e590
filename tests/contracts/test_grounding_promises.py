"""The promises G1 to G7 of docs/concepts/grounding.md, each by its name, against the one checker that all answers pass.

``test_forms.py`` shows that constrained answers cannot break G1, G3 and G5; here any text at all is read, as a free
engine may write it.
"""

from __future__ import annotations

import csv
import json
import re
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.protocol import Generation
from clinprompt.data.writers import WRITERS
from clinprompt.inference.constraint import Grammars, Unconstrainable, grammars_of
from clinprompt.inference.predictor import CHECKED, CONSTRAINED, Predictor, Question
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import load_task
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.formulations.generative import read_back
from clinprompt.tasks.template import TEMPLATES

from ..annotated import ENTITIES, RELATIONS, SAID, example, notes
from ..made_backbones import tiny_backbone

PAGE = "docs/concepts/grounding.md"


@st.composite
def answers(draw, task):
    """A note, and text of the form's signs, words of the note and words that are not there."""
    note = draw(notes)
    start = draw(st.integers(0, len(note) - 1))
    ours = [note[start : start + length] for length in (1, 3, 8)]
    words = (*task.forms(), *map(task.words, task.relations), "Virus", "not there", "aspirin", *ours)
    signs = (": ", "; ", " > ", " | ", " #2", " #99", "=", "\\")
    pieces = st.lists(st.one_of(st.sampled_from(words), st.sampled_from(signs)), max_size=12)
    return example(note, Answer()), "".join(draw(pieces))


def test_the_page_names_this_file_for_every_promise(repository):
    rows = re.findall(r"^\| (G\d) \|.*$", (repository / PAGE).read_text(encoding="utf-8"), flags=re.MULTILINE)
    tests = {name.split("_")[1].upper() for name in globals() if re.match(r"test_g\d_", name)}
    assert rows == sorted(tests) == [f"G{number}" for number in range(1, 8)]


@pytest.mark.parametrize("task", [ENTITIES, RELATIONS, SAID], ids=lambda task: task.name)
@settings(max_examples=100)
@given(data=st.data())
def test_g1_every_fragment_is_a_stretch_of_the_note_that_the_answer_quotes(task, data):
    asked, text = data.draw(answers(task))
    said = "".join(text.split()).replace("\\", "")
    for span in CODECS[task.codec].decode(text, asked, task).answer.spans:
        for start, end in span.fragments:
            assert 0 <= start < end <= len(asked.note)
            assert "".join(asked.note[start:end].split()).replace("\\", "") in said


NOTE = "Ä😀 said: “aspirin”\r\n81\u00a0mg; e\u0301 fever 👩\u200d⚕️ no pain, aspirin"
WORDS = ("aspirin", "81\u00a0mg", "e\u0301", "fever", "pain")
LABELS = ("Drug", "Dose", "Odd", "Problem", "Problem")
SPANS = tuple(
    Span(label, ((NOTE.index(word), NOTE.index(word) + len(word)),), f"T{place}")
    for place, (label, word) in enumerate(zip(LABELS, WORDS, strict=True), 1)
)


def test_g2_written_offsets_are_those_of_the_words_in_the_unit_that_is_declared(tmp_path):
    """BioC and Label Studio are read back in three units in ``test_writers.py``."""
    WRITERS["brat"]([Document("7", NOTE, SPANS)], tmp_path / "out")
    rows = [row.split("\t") for row in (tmp_path / "out" / "7.ann").read_text("utf-8").splitlines()]
    places = [tuple(map(int, row[1].split()[1:])) for row in rows]
    assert [NOTE[start:end] for start, end in places] == [row[2] for row in rows] == list(WORDS)
    WRITERS["jsonl"]([Document("7", NOTE, SPANS)], tmp_path / "out.jsonl")
    record = json.loads((tmp_path / "out.jsonl").read_text("utf-8"))
    assert [NOTE[one["start"] : one["end"]] for one in record["spans"]] == list(WORDS)
    assert record["unit"] == "codepoint"


def test_g2_one_way_formats_state_places_that_hold_the_words(tmp_path):
    document = Document("7", NOTE, SPANS)
    WRITERS["note_nlp"]([document], tmp_path / "n.csv", offset_end=True)
    with (tmp_path / "n.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["offset"].split("-"), row["lexical_variant"]) for row in csv.DictReader(file)]
    assert [NOTE[int(start) : int(end)] for (start, end), _ in rows] == [words for _, words in rows] == list(WORDS)
    WRITERS["table"]([document], tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [NOTE[int(row["start"]) : int(row["end"])] for row in cells] == list(WORDS)
    WRITERS["fhir"]([document], tmp_path / "f.json", recorded="2026-01-31T08:00:00+00:00")
    entries = json.loads((tmp_path / "f.json").read_text("utf-8"))["entry"]
    places = [
        {part["url"]: part.get("valueInteger") for part in one["extension"]}
        for entry in entries
        for one in entry["resource"].get("extension", [])
    ]
    said = [NOTE[at["offset"] : at["offset"] + at["length"]] for at in places]
    assert said == ["aspirin", "fever", "pain"]  # Dose and Odd have no resource


@pytest.mark.parametrize("task", [ENTITIES, RELATIONS, SAID], ids=lambda task: task.name)
@settings(max_examples=100)
@given(data=st.data())
def test_g3_labels_are_those_of_the_task(task, data):
    asked, text = data.draw(answers(task))
    found = CODECS[task.codec].decode(text, asked, task).answer
    assert {span.label for span in found.spans} <= set(task.labels)
    assert {link.label for link in found.relations} <= set(task.relations)


def test_g3_a_label_outside_the_task_is_counted():
    found = CODECS["entities"].decode("Virus: aspirin; Drug: aspirin", example("aspirin", Answer()), ENTITIES)
    assert [span.label for span in found.answer.spans] == ["Drug"] and found.report.unreadable == 1


REPEATED = "pain. no pain, more pain"


@pytest.mark.parametrize(
    ("text", "starts", "ambiguous"),
    [
        ("Drug: pain; Drug: pain; Drug: pain", [0, 9, 20], ("e1", "e2", "e3")),  # told apart by their order
        ("Drug: pain #2", [9], ()),
        ("Drug: pain #3; Drug: pain", [9, 20], ("e1",)),
        ("Drug: more pain; Drug: no", [6, 15], ()),  # stand once
    ],
)
def test_g4_repeated_mentions_are_told_apart_and_ambiguity_is_marked(text, starts, ambiguous):
    found = CODECS["entities"].decode(text, example(REPEATED, Answer()), ENTITIES)
    assert [span.start for span in found.answer.spans] == starts
    assert found.ambiguous == ambiguous and found.report.ambiguous == len(ambiguous)


def test_g4_ends_of_relations_are_marked_one_by_one():
    spans = (Span("Dose", ((0, 4),), "a"), Span("Drug", ((5, 9),), "b"))
    gold = example("5 mg " + REPEATED, Answer(spans=spans, relations=(Relation("dose of", "a", "b"),)))
    found = CODECS["relations"].decode(CODECS["relations"].encode(gold, RELATIONS), gold, RELATIONS)
    [link] = found.answer.relations
    assert found.ambiguous == (link.tail,)


@settings(max_examples=100)
@given(data=st.data())
def test_g5_both_ends_of_a_relation_are_spans_of_the_answer_of_types_that_it_may_have(data):
    asked, text = data.draw(answers(RELATIONS))
    found = CODECS["relations"].decode(text, asked, RELATIONS).answer
    labels = {span.id: span.label for span in found.spans}
    for link in found.relations:
        schema = RELATIONS.relations[link.label]
        assert labels[link.head] in schema.head and labels[link.tail] in schema.tail
    assert set(labels) == {end for link in found.relations for end in (link.head, link.tail)}


def test_g6_what_is_dropped_is_counted():
    text = "Drug: aspirin; Drug: heparin; Virus: aspirin; aspirin; Drug: pain; Drug: aspirin"
    found = CODECS["entities"].decode(text, example("aspirin for pain, pain", Answer()), ENTITIES)
    report = found.report
    assert (report.items, report.unlocated, report.unreadable, report.repeated, report.ambiguous) == (6, 1, 2, 1, 1)
    assert len(found.answer.spans) == report.items - report.unlocated - report.unreadable - report.repeated


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"), seed=5)


@pytest.fixture(scope="module")
def question():
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(1)) * 0.4
    note = {"note": 'takes "aspirin"; 81 mg\n|| daily #2 '}
    return Question(Example("a", note, Answer(), "a"), load_task("medications"), vectors)


def test_g7_an_engine_that_cannot_constrain_gets_the_same_checker_and_says_so(backbone, question):
    with patch("llguidance.hf.from_tokenizer", side_effect=ValueError("slow")), pytest.raises(Unconstrainable):
        Grammars(backbone)
    generation = Generation(24)
    free = Predictor(backbone, TEMPLATES["markers"], generation=generation, grammars=None)
    bound = Predictor(backbone, TEMPLATES["markers"], generation=generation, grammars=grammars_of(backbone))
    for predictor, manner in ((free, CHECKED), (bound, CONSTRAINED)):
        [found] = predictor.predict([question])
        again = read_back(found.raw, question.example, question.task)
        assert (found.answer, found.ambiguous) == (again.answer, again.ambiguous)
        assert found.provenance["grounding"] == manner
        counted = (found.report.items, found.report.unreadable, found.report.unlocated)
        assert counted == (again.report.items, again.report.unreadable, again.report.unlocated)
