from __future__ import annotations

import json
from pathlib import Path

from clinprompt.data.readers.doccano import read

SAMPLE = Path(__file__).parents[2] / "samples" / "doccano" / "good" / "all.jsonl"


def test_entities_and_relations():
    first, second, third = read(SAMPLE)
    assert [(span.id, span.label, span.surface(first.text)) for span in first.spans] == [
        ("100", "Drug", "aspirin"),
        ("101", "Dose", "81 mg"),
    ]
    assert [(link.label, link.head, link.tail) for link in first.relations] == [("dose of", "101", "100")]
    assert dict(first.metadata) == {"Comments": '["see note"]', "patient": "p1"}
    assert [span.surface(second.text) for span in second.spans] == ["aspirin"]
    assert [span.label for span in third.spans] == ["Odd", "Odd"] and third.group == third.id == "9"


def test_offsets_of_a_browser(tmp_path):
    records = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    moved = [
        {**records[0], "entities": [{**e, "start_offset": e["start_offset"] + 1, "end_offset": e["end_offset"] + 1}]}
        for e in records[0]["entities"]
    ]
    for number, record in enumerate(moved):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps([{**record, "relations": []}], indent=1))
        (there,) = read(file, unit="utf16")
        assert there.spans == (read(SAMPLE)[0].spans[number],)


def test_without_an_id_the_place_is_the_name(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "Well.", "label": []}\n\n{"id": 4, "text": "x", "label": []}\n')
    assert [document.id for document in read(tmp_path)] == ["a-1", "4"]
    assert [document.id for document in read(tmp_path, id="")] == ["a-1", "a-3"]
