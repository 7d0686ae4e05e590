from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.projection import ProjectionReport, Tally, project, project_each, relabel
from clinprompt.data.windows import windows
from clinprompt.errors import InputError
from clinprompt.schema.concepts import ConceptRelation, concept_mentions, concept_relations, stated
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer, Example
from tests.data.drawn import documents

TEXT = "Aspirin 81 mg daily. No rash today."
NOTE = Document(
    "n",
    TEXT,
    (
        Span("Drug", ((0, 7),), "T1"),
        Span("Strength", ((8, 13),), "T2", {"unit": "mg"}),
        Span("Sign", ((24, 28),), "T3"),
        Span("Drug_class", ((0, 7),), "T4"),
    ),
    (
        Relation("Strength-Drug", "T2", "T1", "R1"),
        Relation("Causes", "T1", "T3", "R2"),
        Relation("Causes", "T4", "T3", "R3"),
    ),
    group="p1",
    metadata={"site": "a"},
)
LABELS = {"Drug", "Dose", "Sign_or-symptom", "症状"}


@given(document=documents(), longest=st.integers(2, 30), overlap=st.integers(0, 1))
def test_spans_that_fit_a_window_stay_verbatim(document, longest, overlap):
    examples, report = project(document, labels=LABELS, window=longest, overlap=overlap)
    places = windows(document.text, longest=longest, overlap=overlap)
    found = set()
    for example in examples:
        assert document.text[example.offset :].startswith(example.note)
        for span in example.answer.spans:
            there = span.shifted(example.offset)
            assert span.surface(example.note) == there.surface(document.text)
            assert document.span(span.id) == there
            found.add(there.key)
    fits = {
        span.key
        for span in document.spans
        if any(a <= span.start and span.end <= b and document.text[a:b].strip() for a, b in places)
    }
    assert found == fits
    keys = Counter(span.key for span in document.spans)
    assert report.spans + sum(report.cut_spans.values()) + report.merged == len(document.spans)
    assert report.merged == len(document.spans) - len(keys)
    assert report.examples + report.blank == len(places)


@given(document=documents(), longest=st.integers(2, 30))
def test_every_relation_is_accounted_for(document, longest):
    ends = {"Drug": (LABELS, LABELS), "Dose": ({"Drug"}, LABELS)}
    examples, report = project(document, labels=(), relations=ends, window=longest)
    for example in examples:
        used = {end for link in example.answer.relations for end in (link.head, link.tail)}
        assert {span.id for span in example.answer.spans} == used
    counted = report.relations + sum(report.cut_relations.values()) + sum(report.wrong_ends.values())
    repeated = len(document.spans) - len({span.key for span in document.spans})
    outside = sum(link.label not in ends for link in document.relations)
    assert counted + outside + report.merged - repeated == len(document.relations)


def test_a_task_sees_its_labels_only():
    examples, report = project(NOTE, labels=("Drug", "Dose"), label_map={"Strength": "Dose", "Drug_class": ""})
    (example,) = examples
    assert example == Example(
        id="n@0",
        inputs={"note": TEXT},
        answer=Answer(spans=(NOTE.span("T1"), Span("Dose", ((8, 13),), "T2", {"unit": "mg"}))),
        group="p1",
        document="n",
        metadata={"site": "a"},
    )
    assert report.outside == {"Sign": 1, "Drug_class": 1, "Strength-Drug": 1, "Causes": 2}
    assert (report.spans, report.documents, report.examples) == (2, 1, 1)


def test_spans_made_equal_are_one_and_keep_their_relations():
    ends = {"Causes": (("Drug",), ("Sign",))}
    (example,), report = project(NOTE, labels=(), relations=ends, label_map={"Drug_class": "Drug"})
    assert [span.id for span in example.answer.spans] == ["T1", "T3"]
    assert example.answer.relations == (Relation("Causes", "T1", "T3", "R2"),)
    assert report.merged == 2 and report.relations == 1


def test_ends_that_the_task_does_not_allow_are_counted():
    ends = {"Causes": (("Drug",), ("Sign",)), "Strength-Drug": (("Drug",), ("Strength",))}
    (example,), report = project(NOTE, labels=(), relations=ends)
    assert [link.id for link in example.answer.relations] == ["R2"]
    assert report.wrong_ends == {"Causes": 1, "Strength-Drug": 1}


def test_windows_cut_relations_and_say_so():
    ends = {"Causes": (("Drug",), ("Sign",)), "Strength-Drug": (("Strength",), ("Drug",))}
    examples, report = project(NOTE, labels=(), relations=ends, window=22)
    assert [(example.id, example.note) for example in examples] == [
        ("n@0", "Aspirin 81 mg daily. "),
        ("n@21", "No rash today."),
    ]
    assert [len(example.answer.relations) for example in examples] == [1, 0]
    assert [len(example.answer.spans) for example in examples] == [2, 0]
    assert report.cut_relations == {"Causes": 1} and report.cut_spans == {}
    assert report.relations == 1


def test_spans_over_a_border_are_counted_by_label():
    document = Document("n", "one two three four", (Span("Long", ((4, 13),), "T1"), Span("Short", ((0, 3),), "T2")))
    examples, report = project(document, labels=("Long", "Short"), window=9)
    assert [len(example.answer.spans) for example in examples] == [1, 0, 0]
    assert report.cut_spans == {"Long": 1}
    assert project(document, labels=("Long", "Short"), window=15, overlap=11)[1].cut_spans == {}


def test_blank_windows_give_no_example():
    examples, report = project(Document("n", " \r\n"), labels=("Drug",))
    assert examples == [] and report.blank == 1


def test_reports_add_up():
    documents = [NOTE, Document("m", "Well.")]
    tally = Tally()
    examples, report = list(tally.examples(project_each(documents, labels=("Drug",)))), tally.report
    assert report == sum((project(d, labels=("Drug",))[1] for d in documents), ProjectionReport())
    assert (report.documents, len(examples)) == (2, 2)


def test_strict_lists_unknown_labels_with_counts_and_near_matches():
    with pytest.raises(InputError) as caught:
        list(project_each([NOTE, NOTE], labels=("Drug", "Signs"), label_map={"Drug_class": ""}, strict=True))
    message = str(caught.value)
    assert "'Sign' (2 times, did you mean 'Signs'?)" in message
    assert "'Causes' (4 times)" in message and "Drug_class" not in message
    assert "Aspirin" not in message


def test_strict_accepts_what_is_mapped():
    renames = {"Drug_class": "", "Strength": "Dose", "Causes": "", "Strength-Drug": ""}
    assert len(list(project_each([NOTE], labels=("Drug", "Dose", "Sign"), label_map=renames, strict=True))) == 1
    with pytest.raises(InputError, match="Strength"):
        list(project_each([NOTE], labels=("Drug", "Sign"), label_map=renames, strict=True))


def test_classes_are_renamed_left_out_and_checked():
    examples = [Example(str(i), {"note": "x"}, Answer(label=label), "g") for i, label in enumerate(("1", "0", "?"))]
    kept = relabel(examples, labels=("yes", "no"), label_map={"1": "yes", "0": "no", "?": ""})
    assert [example.answer.label for example in kept] == ["yes", "no"]
    with pytest.raises(InputError, match="times"):
        list(relabel(examples, labels=("yes", "no"), label_map={"1": "yes", "0": "no"}))
    with pytest.raises(InputError, match="''"):
        list(relabel([Example("1", {"note": "x"}, Answer(text="t"), "g")], labels=("yes",)))


def test_a_relation_task_keeps_the_concepts_of_the_whole_document_in_its_own_labels():
    spans = (
        Span("Chemical", ((0, 3),), "T1", {"concept": "D1"}),
        Span("Disease", ((4, 9),), "T2", {"concept": "D2"}),
        Span("Gene", ((10, 13),), "T3", {"concept": "7"}),
    )
    told = stated([ConceptRelation("induces", "D1", "D2"), ConceptRelation("binds", "D1", "7")])
    document = Document("d", "abc defgh ijk. " * 4, spans, (Relation("induces", "T1", "T2"),), metadata=told)
    ends = (("Chemical",), ("Disease",))
    examples, _ = project(document, labels=(), relations={"CID": ends}, label_map={"induces": "CID"}, window=40)
    assert len(examples) > 1
    for example in examples:
        assert concept_relations(example.metadata) == (ConceptRelation("CID", "D1", "D2"),)
        assert [(span.key, span.attributes) for span in concept_mentions(example.metadata)] == [
            (span.key, span.attributes) for span in spans[:2]
        ]
    entities, _ = project(document, labels=("Chemical",))
    assert entities[0].metadata == told
