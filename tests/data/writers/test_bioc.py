from __future__ import annotations

import json

import pytest

from clinprompt.data.files import read_xml
from clinprompt.data.readers import READERS
from clinprompt.data.writers.bioc import write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

SPANS = (Span("Side", ((0, 1), (4, 6)), "T1", {"concept": "D1"}), Span("Part", ((4, 6),), "T2"))
NOTE = Document("n", "é😀\r\nab", SPANS, (Relation("of", "T1", "T2", "R1"),), "p1", {"site": "a"})


@pytest.mark.parametrize(
    ("unit", "places"), [("codepoint", [(0, 1), (4, 2)]), ("utf16", [(0, 1), (5, 2)]), ("byte", [(0, 2), (8, 2)])]
)
def test_the_form_is_the_one_other_tools_read(tmp_path, unit, places):
    assert write([NOTE], tmp_path / "c.json", unit=unit) == {}
    collection = json.loads((tmp_path / "c.json").read_text())
    assert collection["infons"]["clinprompt.unit"] == unit
    (document,) = collection["documents"]
    (passage,) = document["passages"]
    first = passage["annotations"][0]
    assert (passage["offset"], passage["text"], first["id"], first["text"]) == (0, NOTE.text, "T1", "é ab")
    assert first["infons"] == {"identifier": "D1", "type": "Side"}
    assert [(place["offset"], place["length"]) for place in first["locations"]] == places
    assert passage["relations"][0]["nodes"] == [{"refid": "T1", "role": "head"}, {"refid": "T2", "role": "tail"}]


def test_xml_keeps_line_breaks_and_order_of_its_document_type(tmp_path):
    write([NOTE], tmp_path / "c.xml")
    root = read_xml(tmp_path / "c.xml")
    assert [child.tag for child in root] == ["source", "date", "key", "infon", "document"]
    assert [child.tag for child in root.find("document/passage/annotation")] == ["infon"] * 2 + ["location"] * 2 + [
        "text"
    ]
    assert root.findtext("document/passage/text") == NOTE.text
    assert READERS["bioc"](tmp_path / "c.xml") == [NOTE]


def test_what_bioc_cannot_hold_is_counted(tmp_path):
    spans = (Span("A", ((0, 1),), "T1", {"type": "x", "identifier": "y", "sure": "z"}),)
    document = Document("n", "a", spans, metadata={"clinprompt.group": "x"})
    assert write([document], tmp_path / "c.xml") == {"attributes": 2, "metadata": 1}
    (back,) = READERS["bioc"](tmp_path / "c.xml")
    assert back.spans[0].attributes == {"sure": "z"} and back.metadata == {}


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    twice = (Span("A", ((0, 1),), "x"), Span("B", ((0, 1),), "x"))
    with pytest.raises(InputError) as caught:
        write([Document("n", "quince\x0b"), Document("m", "a", twice)], tmp_path / "c.xml")
    assert "U+000B" in str(caught.value) and "same id" in str(caught.value) and "quince" not in str(caught.value)
    with pytest.raises(InputError, match="json"):
        write([NOTE], tmp_path / "c.txt")
    with pytest.raises(InputError, match="unit"):
        write([NOTE], tmp_path / "c.xml", unit="words")
    assert list(tmp_path.iterdir()) == []
