from __future__ import annotations

import json

import pytest

from clinprompt.data.readers.label_studio import read
from clinprompt.errors import InputError
from tests.contracts.test_readers import SAMPLES


def region(name, start, end, text, *labels, kind="labels"):
    value = {"start": start, "end": end, "text": text, kind: list(labels)}
    return {"id": name, "from_name": "label", "to_name": "text", "type": kind, "value": value}


def link(head, tail, *labels, direction="right"):
    return {"type": "relation", "from_id": head, "to_id": tail, "labels": list(labels), "direction": direction}


def write(tmp_path, result, text="left and right arm", **more):
    file = tmp_path / "t.json"
    file.write_text(json.dumps([{"id": 1, "data": {"text": text}, "annotations": [{"result": result}], **more}]))
    return file


def test_the_sample_in_detail():
    first, second = read(SAMPLES / "label_studio" / "good.json")
    assert [span.attributes for span in first.spans] == [{"assertion": "absent"}, {"score": "0.5"}]
    assert first.metadata == {
        "urgency": "low",
        "label studio items of other kinds": "1",
        "label studio other annotations": "1",
    }
    assert (second.id, second.group, second.spans) == ("8", "8", ())
    (mine, _) = read(SAMPLES / "label_studio" / "good.json", annotator="a@b.example")
    assert mine.spans == first.spans
    assert read(SAMPLES / "label_studio" / "good.json", annotator="5")[0].spans == ()


def test_utf16_offsets_of_old_versions(tmp_path):
    file = write(tmp_path, [region("a", 3, 7, "pain", "Sign")], text="😀 pain")
    (document,) = read(file, unit="utf16")
    assert document.spans[0].fragments == ((2, 6),)
    with pytest.raises(InputError, match="codepoints"):
        read(file)


def test_regions_that_a_relation_joins_are_one_span(tmp_path):
    regions = [
        region("a", 15, 18, "arm", "Part"),
        region("b", 0, 4, "left", "Part"),
        region("c", 9, 14, "right", "Side"),
    ]
    result = [*regions, link("a", "b", "discontinuous"), link("c", "b", "of", direction="left"), link("a", "c")]
    (document,) = read(write(tmp_path, result))
    assert [(span.id, span.fragments) for span in document.spans] == [("a", ((0, 4), (15, 18))), ("c", ((9, 14),))]
    assert [(x.label, x.head, x.tail) for x in document.relations] == [("of", "a", "c"), ("relation", "a", "c")]


@pytest.mark.parametrize("ends", [("a", "x"), ("x", "a"), ("a", "a")])
def test_relations_that_lead_nowhere(tmp_path, ends):
    with pytest.raises(InputError, match=r"nowhere|not there"):
        read(write(tmp_path, [region("a", 0, 4, "left", "Side"), link(*ends, "discontinuous"), link("x", "a", "of")]))


def test_two_labels_and_regions_of_html(tmp_path):
    html = {"id": "h", "type": "hypertextlabels", "value": {"start": "/p[1]", "end": "/p[1]", "hypertextlabels": ["A"]}}
    (document,) = read(write(tmp_path, [region("a", 0, 4, "left", "Side", "Place"), html]))
    assert [(span.id, span.label) for span in document.spans] == [("a", "Side"), ("a.2", "Place")]
    assert document.metadata == {"label studio regions that are not of a text": "1"}


def test_other_names_and_completions(tmp_path):
    file = tmp_path / "t.json"
    data = {"note": "a", "pid": 4, "nid": "x", "site": "B", "visits": [1]}
    file.write_text(json.dumps([{"data": data, "completions": [{"result": [region("r", 0, 1, "a", "A")]}]}]))
    (document,) = read(file, text="note", id="nid", group="pid")
    assert (document.id, document.group, len(document.spans)) == ("x", "4", 1)
    assert document.metadata == {"site": "B", "visits": "[1]"}


@pytest.mark.parametrize("options", [{"unit": "words"}, {"source": "both"}])
def test_options(tmp_path, options):
    with pytest.raises(InputError, match="option"):
        read(write(tmp_path, []), **options)
