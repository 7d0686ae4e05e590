from __future__ import annotations

import json

import pytest

from clinprompt.data.readers import READERS
from clinprompt.data.readers.bioc import read
from clinprompt.errors import InputError, InputErrors
from clinprompt.schema.concepts import concept_relations
from tests.contracts.test_readers import SAMPLES


def write(tmp_path, passages, name="c.json", **more):
    file = tmp_path / name
    file.write_text(json.dumps({"documents": [{"id": "n", "passages": passages, **more}]}))
    return file


def annotation(offset, length, text, **infons):
    return {"infons": {"type": "A", **infons}, "text": text, "locations": [{"offset": offset, "length": length}]}


def test_the_sample_in_detail():
    first, second = read(SAMPLES / "bioc" / "good.xml")
    assert [span.fragments for span in first.spans] == [((5, 9),), ((25, 29), (36, 45)), ((52, 59),)]
    assert first.spans[2].attributes == {"concept": "D001241"}
    assert [(link.label, link.head, link.tail) for link in first.relations] == [("of", "1", "2"), ("Causes", "3", "1")]
    assert [link.id for link in first.relations] == ["R1", "R2"]
    (stated,) = concept_relations(first.metadata)
    assert (stated.head, stated.tail, stated.remark) == ("D001241", "D010146", "No")
    assert {key: value for key, value in first.metadata.items() if key != "concept relations"} == {
        "journal": "Made",
        "bioc passages": '[[0, 24, {"type": "title"}], [25, 60, {"type": "abstract"}]]',
        "bioc annotations without a place": "1",
        "bioc infons of relations": "1",
        "bioc relations of other than two mentions": "1",
    }
    assert (second.text, second.spans[0].surface(second.text)) == ("Fine. No pain.", "pain")


@pytest.mark.parametrize(("unit", "start", "length"), [("codepoint", 3, 2), ("utf16", 4, 3), ("byte", 7, 5)])
def test_units(tmp_path, unit, start, length):
    passage = {"offset": 0, "text": "é😀 😀x", "annotations": [annotation(start, length, "😀x")]}
    (document,) = read(write(tmp_path, [passage]), unit=unit)
    assert document.spans[0].fragments == ((3, 5),)
    if unit != "codepoint":
        with pytest.raises(InputError, match="codepoints"):
            read(write(tmp_path, [passage]))
    assert read(write(tmp_path, [passage], infons={"clinprompt.unit": unit})) == [document]


def test_passages_in_any_order_and_gaps_of_bytes(tmp_path):
    passages = [{"offset": 6, "text": "B"}, {"offset": 0, "text": "éa"}]
    assert read(write(tmp_path, passages), unit="byte")[0].text == "éa   B"
    assert read(write(tmp_path, passages))[0].text == "éa    B"
    with pytest.raises(InputError, match="too far off"):
        read(write(tmp_path, [{"offset": 10**9, "text": "B"}]))


def test_other_infons_hold_the_label_and_none_is_no_infon(tmp_path):
    passage = {"offset": 0, "text": "a", "annotations": [annotation(0, 1, "a", kind="X", score=0.5, none=None)]}
    (document,) = read(write(tmp_path, [passage]), label="kind")
    assert (document.spans[0].label, document.spans[0].attributes) == ("X", {"type": "A", "score": "0.5"})
    with pytest.raises(InputError, match="no infon 'label'"):
        read(write(tmp_path, [passage]), label="label")


def test_line_breaks_of_xml_are_those_of_the_parser(tmp_path):
    file = tmp_path / "c.xml"
    passage = '<offset>0</offset><text>a\r\nb&#13;&#10;c</text><annotation><infon key="type">A</infon>{}</annotation>'
    place = '<location offset="2" length="2"/><text>b&#13;</text>'
    document = f"<document><id>n</id><passage>{passage.format(place)}</passage></document>"
    file.write_bytes(f"<collection>{document}</collection>".encode())
    (found,) = read(file)
    assert found.text == "a\nb\r\nc" and found.spans[0].surface(found.text) == "b\r"


def test_all_faults_at_once_and_repeated_ids(tmp_path):
    bad = [annotation(0, 2, "a"), annotation(0, 9, "ab"), {"infons": {"type": "A"}, "text": "a", "locations": [{}]}]
    with pytest.raises(InputErrors) as caught:
        read(write(tmp_path, [{"offset": 0, "text": "ab", "annotations": bad}]))
    assert [fault.where[-12:] for fault in caught.value.faults] == [f"annotation {place}" for place in (1, 2, 3)]
    twice = [{**annotation(0, 1, "a"), "id": "1"}, {**annotation(1, 1, "b"), "id": "1"}]
    with pytest.raises(InputError, match="same id"):
        read(write(tmp_path, [{"offset": 0, "text": "ab", "annotations": twice}]))


@pytest.mark.parametrize("options", [{"unit": "words"}, {"concepts": "all"}])
def test_options(tmp_path, options):
    with pytest.raises(InputError, match="option"):
        read(write(tmp_path, [{"offset": 0, "text": "a"}]), **options)


@pytest.mark.parametrize(
    ("part", "documents", "spans", "stated", "placed"),
    [("Train", 400, 13351, 4178, 189), ("Dev", 100, 3533, 1162, 47), ("Test", 100, 3535, 1163, 65)],
)
def test_biored(shared_data, part, documents, spans, stated, placed):
    found = read(shared_data / f"biored/{part}.BioC.XML")
    assert (len(found), sum(len(document.spans) for document in found)) == (documents, spans)
    assert sum(len(concept_relations(document.metadata)) for document in found) == stated
    assert sum(len(document.relations) for document in found) == placed
    assert {key for document in found for key in document.metadata} == {"bioc passages", "concept relations"}
    nearest = read(shared_data / f"biored/{part}.BioC.XML", concepts="nearest")
    assert sum(len(document.relations) for document in nearest) == stated


def test_biored_is_the_same_in_both_formats(shared_data):
    def said(documents):
        return {
            document.id: (
                document.text,
                # PubTator writes "-" where there is no concept; its reader says nothing there.
                sorted((span.key, span.attributes.get("concept", "-")) for span in document.spans),
                sorted(map(repr, concept_relations(document.metadata))),
            )
            for document in documents
        }

    xml, lines = (READERS[name](shared_data / f"biored/Test.{kind}") for name, kind in
                  (("bioc", "BioC.XML"), ("pubtator", "PubTator")))  # fmt: skip
    assert said(xml) == said(lines)
