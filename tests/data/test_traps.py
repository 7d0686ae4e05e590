"""Every trap that the corpora's manifest lists, on the published files: one test each, skipped where they are absent."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from xml.etree import ElementTree

import pytest

from clinprompt.data.readers import READERS
from clinprompt.schema.concepts import concept_relations, concepts

DDI = "ddi2013/DDICorpus"
EI = "evidence_inference/annotations"


def sentences(folder):
    for file in sorted(folder.rglob("*.xml")):
        yield from ElementTree.parse(file).getroot().iter("sentence")


def test_ddi_ends_are_inclusive_and_an_entity_may_have_several_places(shared_data):
    folder = shared_data / DDI / "Test" / "Test for DDI Extraction task"
    notes = {note.id: note for note in READERS["ddi"](folder)}
    several = 0
    for sentence in sentences(folder):
        note = notes[sentence.attrib["id"]]
        entities = sentence.findall("entity")
        assert len(entities) == len(note.spans)
        for entity, span in zip(entities, note.spans, strict=True):
            published = [tuple(map(int, part.split("-"))) for part in entity.attrib["charOffset"].split(";")]
            assert span.fragments == tuple((start, end + 1) for start, end in published)
            several += len(published) > 1
            assert span.surface(note.text).split() == entity.attrib["text"].split()
    assert several == sum(len(span.fragments) > 1 for note in notes.values() for span in note.spans)


def test_ddi_has_mentions_of_several_places_and_a_positive_pair_without_a_type(shared_data):
    train = shared_data / DDI / "Train"
    notes = READERS["ddi"](train)
    assert sum(len(span.fragments) > 1 for note in notes for span in note.spans) == 38
    untyped = [note for note in notes if "pairs without a type" in note.metadata]
    assert len(untyped) == 1
    with_type = READERS["ddi"](train, untyped="int")
    assert sum(len(note.relations) for note in with_type) == sum(len(note.relations) for note in notes) + 1


def test_ddi_pairs_of_the_ner_test_part_are_all_false(shared_data):
    folder = shared_data / DDI / "Test" / "Test for DrugNER task"
    published = Counter(pair.attrib["ddi"] for one in sentences(folder) for pair in one.iter("pair"))
    assert set(published) == {"false"} and published["false"] > 0
    assert not any(note.relations for note in READERS["ddi"](folder))


@pytest.mark.parametrize("path", ["biored/Test.PubTator", "bc5cdr/pubtator/CDR_TestSet.PubTator.txt"])
def test_relations_of_biored_and_bc5cdr_are_between_concepts(shared_data, path):
    notes = READERS["pubtator"](shared_data / path)
    told = [(note, link) for note in notes for link in concept_relations(note.metadata)]
    assert told
    for note, link in told:
        known = {name for span in note.spans for name in (span.attributes.get("concept", ""), *concepts(span))}
        assert {link.head, link.tail} <= known


def test_composite_concepts_are_taken_apart_and_unknown_ones_link_nothing(shared_data):
    spans, unknown = [], 0
    for part in ("Training", "Development", "Test"):
        file = shared_data / f"bc5cdr/pubtator/CDR_{part}Set.PubTator.txt"
        unknown += sum(line.endswith("\t-1") for line in file.read_text(encoding="utf-8").splitlines())
        for note in READERS["pubtator"](file):
            spans += note.spans
            assert "-1" not in {end for link in concept_relations(note.metadata) for end in (link.head, link.tail)}
    assert not any(span.attributes.get("concept") == "-1" for span in spans)
    composite = [span for span in spans if "|" in span.attributes.get("concept", "")]
    assert composite and all(len(concepts(span)) > 1 for span in composite) and unknown > 0


def test_maccrobat_relations_to_events_lines_without_an_id_and_letters_beyond_ascii(shared_data):
    notes = READERS["brat"](shared_data / "maccrobat/MACCROBAT2020")
    ends = [note.span(end) for note in notes for link in note.relations for end in (link.head, link.tail)]
    assert sum("brat event" in span.attributes for span in ends) == 21484
    stars = [line for note in notes for line in note.metadata.get("brat lines", "").split("\n") if line[:1] == "*"]
    assert len(stars) == 2023
    foreign = [note for note in notes if not note.text.isascii()]
    assert len(foreign) == 168 and all(note.spans for note in foreign)


def test_e3c_has_one_class_with_blanks_between_columns_and_gaps_in_xmi_only(shared_data):
    root = shared_data / "e3c_english"
    path = root / "preprocessed_data/clinical_entities/layer1/English/train.txt"
    notes = READERS["conll"](path, separator="space")
    assert {span.label for note in notes for span in note.spans} == {"ety"}
    assert not any(len(span.fragments) > 1 for note in notes for span in note.spans)
    with path.open(encoding="utf-8") as lines:
        assert not any("\t" in line for line in lines)
    documents = READERS["xmi"](root)
    # The columns cannot say it; the XMI files do, by an attribute.
    assert sum("discontinuous" in span.attributes for note in documents for span in note.spans) == 65


def test_options_and_keys_of_the_three_sets_of_examination_questions(shared_data):
    for part, options in (("train", 5), ("dev", 4), ("test", 4)):
        found = READERS["headqa"](shared_data / f"headqa/HEAD_EN/{part}_HEAD_EN.json")
        assert {len(example.choices) for example in found} == {options}
    file = shared_data / "medmcqa/data/dev.json"
    keys = [json.loads(line)["cop"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert set(keys) == {1, 2, 3, 4}
    assert [example.answer.label for example in READERS["medmcqa"](file)] == ["ABCD"[key - 1] for key in keys]
    named = {"note": "1", "options": ["2", "3", "4", "5"], "label": "6"}
    folder = shared_data / "mmlu_medical/test"
    texts = [path.read_bytes().decode("utf-8") for path in sorted(folder.glob("*.csv"))]
    rows = [row for text in texts for row in csv.reader(io.StringIO(text, newline=""))]
    found = READERS["csv_table"](folder, header=False, **named)
    assert [example.note for example in found] == [row[0] for row in rows]  # the first row is a question too


def test_covid_qa_answers_that_are_off_by_a_blank_are_put_right(shared_data):
    found = READERS["squad"](shared_data / "covid_qa/200423_covidQA.json")
    assert sum("answers whose offset was corrected" in example.metadata for example in found) == 234
    assert all(span.surface(example.note) == example.answer.text for example in found for span in example.answer.spans)


def test_evidence_inference_spells_a_label_in_two_ways_and_has_several_rows_a_prompt(shared_data):
    with (shared_data / EI / "v2_annotations.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    spelt = {row["Label"] for row in rows if row["Label"].startswith("significantly increase")}
    assert spelt == {"significantly increase", "significantly increased"}
    found = READERS["evidence_inference"](shared_data / EI, absent=True)
    classes = {"significantly increased", "significantly decreased", "no significant difference"}
    assert {example.answer.label for example in found} == classes
    assert len(found) == len({example.id for example in found}) < len(rows)


def test_quotation_marks_of_scifact_are_characters_of_the_text(shared_data):
    options = {"note": "sentence1", "hypothesis": "sentence2", "label": "entailment"}
    file = shared_data / "scifact_rte/RTE-scifact/train.tsv"
    published = [line.split("\t") for line in file.read_bytes().decode("utf-8").splitlines()[1:]]
    found = READERS["csv_table"](file, **options, quotes=False)
    assert [[one.note, one.inputs["hypothesis"]] for one in found] == [cells[1:3] for cells in published]
    taken = READERS["csv_table"](file, **options)
    assert [one.inputs for one in taken] != [one.inputs for one in found]  # as quoted cells they would be lost


def test_neurotrialner_json_is_lines_and_its_table_holds_lists(shared_data):
    folder = shared_data / "neurotrialner/data_splits/stratified_entities"
    file = folder / "ct_neuro_test_data_153.json"
    with pytest.raises(json.JSONDecodeError):
        json.loads(file.read_text(encoding="utf-8"))
    assert len(READERS["neurotrialner"](file)) == 153
    table = folder / "ct_neuro_test_merged_153.csv"
    assert len(READERS["neurotrialner"](table)) == 153


@pytest.mark.parametrize(
    ("reader", "path", "options", "words"),
    [
        ("medquad", "medquad", {}, 0),
        ("text_pairs", "sumpubmed", {"answers": "abstract", "key": "_([0-9]+)$"}, 512),
        ("evidence_inference", EI, {"part": "dev", "absent": True}, 512),
        ("squad", "covid_qa/200423_covidQA.json", {}, 512),
        ("aci_bench", "aci_bench/data/challenge_data/valid.csv", {}, 512),
    ],
)
def test_long_inputs_are_read_whole(shared_data, reader, path, options, words):
    found = READERS[reader](shared_data / path, **options)
    texts = [example.note if words else example.answer.text for example in found]
    assert max(len(text.split()) for text in texts) > 512
