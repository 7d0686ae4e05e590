from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clinprompt.data.readers import READERS
from clinprompt.data.readers.pubtator import read
from clinprompt.schema.concepts import ConceptRelation, concept_relations, concepts

SAMPLE = Path(__file__).parents[2] / "samples" / "pubtator" / "good"
CDR = "bc5cdr/pubtator/CDR_{}Set.PubTator.txt"
NCBI = "ncbi_disease/original-data/{0}/NCBI{1}set_corpus.txt"

# Documents, mentions, relations between concepts, as the descriptions of the corpora have them.
CORPORA = [
    (CDR.format("Training"), 500, {"Chemical": 5203, "Disease": 4182}, 1038),
    (CDR.format("Development"), 500, {"Chemical": 5347, "Disease": 4244}, 1012),
    (CDR.format("Test"), 500, {"Chemical": 5385, "Disease": 4424}, 1066),
    ("biored/Train.PubTator", 400, 13351, 4178),
    ("biored/Dev.PubTator", 100, 3533, 1162),
    ("biored/Test.PubTator", 100, 3535, 1163),
    (NCBI.format("train", "train"), 593, 5145, 0),
    (NCBI.format("devel", "develop"), 100, 787, 0),
    (NCBI.format("test", "test"), 100, 960, 0),
]


def test_concepts_stay_with_their_mentions():
    first = read(SAMPLE)[0]
    assert [concepts(span) for span in first.spans] == [
        ("D003693",),
        ("D015738",),
        ("D003693",),
        ("D015738",),
        (),
        ("D051437", "D017093"),
    ]
    assert first.spans[5].attributes["composite"] == "Renal failure|liver failure"


def test_relations_between_concepts_are_kept_whatever_becomes_of_them():
    stated = (
        ConceptRelation("CID", "D015738", "D003693"),
        ConceptRelation("Association", "D051437", "D017093", "Novel"),
    )
    for placing, placed in (("single", []), ("nearest", [("CID", "T4", "T3")])):
        first = read(SAMPLE, concepts=placing)[0]
        assert concept_relations(first.metadata) == stated
        assert [(link.label, link.head, link.tail) for link in first.relations] == placed


def test_a_document_that_comes_twice_is_one_group():
    assert [(d.id, d.group) for d in read(SAMPLE)] == [("100", "100"), ("200", "200"), ("200#2", "200")]


@pytest.mark.parametrize(("path", "documents", "mentions", "relations"), CORPORA)
def test_published_counts(shared_data, path, documents, mentions, relations):
    found = read(shared_data / path, concepts="nearest")
    labels = Counter(span.label for document in found for span in document.spans)
    assert len(found) == documents
    assert labels == mentions if isinstance(mentions, dict) else labels.total() == mentions
    assert sum(len(concept_relations(document.metadata)) for document in found) == relations
    # Every stated relation has a mention at both ends, so that with "nearest" none is lost.
    assert sum(len(document.relations) for document in found) == relations


def test_how_few_relations_have_one_mention_at_each_end(shared_data):
    found = read(shared_data / CDR.format("Training"))
    assert sum(len(document.relations) for document in found) == 39


def test_one_document_of_the_ncbi_corpus_comes_twice(shared_data):
    found = read(shared_data / NCBI.format("train", "train"))
    assert Counter(document.group for document in found).most_common(2)[0] == ("8528200", 2)
    assert len({document.id for document in found}) == 593


def test_the_same_mentions_in_two_formats(shared_data):
    pubtator = {document.id: document for document in read(shared_data / NCBI.format("devel", "develop"))}
    for note in READERS["brat"](shared_data / "ncbi_disease/standoff/devel"):
        ours = pubtator[note.id]
        assert [(s.label, s.surface(ours.text)) for s in ours.spans] == [
            (s.label, s.surface(note.text)) for s in note.spans
        ]


def test_biored_is_the_same_in_bioc(shared_data):
    pubtator = {document.id: document for document in read(shared_data / "biored/Dev.PubTator", concepts="nearest")}
    bioc = READERS["bioc"](shared_data / "biored/Dev.BioC.XML", concepts="nearest")
    assert len(bioc) == len(pubtator)
    for theirs in bioc:
        ours = pubtator[theirs.id]
        assert ours.text == theirs.text
        assert sorted(span.key for span in ours.spans) == sorted(span.key for span in theirs.spans)
        assert links(ours) == links(theirs)


def links(document) -> set:
    return {(link.label, document.span(link.head).key, document.span(link.tail).key) for link in document.relations}


def test_without_a_direction_the_first_mention_is_the_head(shared_data):
    given = read(shared_data / "biored/Dev.PubTator", concepts="nearest")
    ordered = read(shared_data / "biored/Dev.PubTator", concepts="nearest", directed=False)
    turned = 0
    for before, after in zip(given, ordered, strict=True):
        for one, other in zip(before.relations, after.relations, strict=True):
            assert {one.head, one.tail} == {other.head, other.tail} and one.label == other.label
            assert after.span(other.head).start <= after.span(other.tail).start
            turned += one.head != other.head
    assert turned > 0
