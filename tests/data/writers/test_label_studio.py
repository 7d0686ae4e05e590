from __future__ import annotations

import json

import pytest

from clinprompt.data.readers.label_studio import read
from clinprompt.data.writers.label_studio import write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

PROVENANCE = {
    "clinprompt": "0.1",
    "backbone": "b9",
    "prompts": [{"task": "drugs", "version": "1", "sha256": "ab" * 32}],
}


def test_the_form_is_the_one_label_studio_imports(tmp_path):
    spans = (
        Span("Drug", ((2, 9),), "T1", {"score": "0.5", "sure": "yes"}),
        Span("Dose", ((10, 12),), "T2", {"score": "1.0"}),
    )
    document = Document("n", "😀 aspirin 81", spans, (Relation("dose", "T2", "T1", "R1"),), "p1", {"site": "a"})
    lost = write([document], tmp_path / "t.json", provenance=PROVENANCE, answers=[{"flag": "high", "none": None}])
    assert lost == {}
    (task,) = json.loads((tmp_path / "t.json").read_text())
    (prediction,) = task["predictions"]
    assert (task["data"], task["meta"]) == ({"text": document.text, "id": "n", "group": "p1"}, {"site": "a"})
    assert prediction["model_version"] == "clinprompt 0.1; drugs 1 abababababab; backbone b9"
    assert prediction["score"] == 0.75
    drug, sure, dose, relation, answer = prediction["result"]
    assert drug["value"] == {"start": 2, "end": 9, "text": "aspirin", "labels": ["Drug"]} and drug["score"] == 0.5
    assert (drug["from_name"], drug["to_name"], drug["type"]) == ("label", "text", "labels")
    assert (sure["id"], sure["from_name"], sure["type"], sure["value"]["text"]) == ("T1", "sure", "textarea", ["yes"])
    assert dose["score"] == 1.0
    assert (relation["from_id"], relation["to_id"], relation["labels"]) == ("T2", "T1", ["dose"])
    assert (answer["from_name"], answer["value"]) == ("flag", {"text": ["high"]})
    (back,) = read(tmp_path / "t.json", source="predictions")
    assert back.metadata == {"site": "a", "flag": "high"} and back.spans == spans


def test_what_is_asserted_is_chosen_beside_the_region(tmp_path):
    spans = (Span("Problem", ((3, 8),), "T1", {"assertion": "absent", "severity": "mild", "temporality": ""}),)
    for choices, kinds in (
        (None, ["choices", "textarea", "textarea"]),
        (["severity"], ["textarea", "choices", "textarea"]),
    ):
        file = tmp_path / f"{len(kinds)}{choices is None}.json"
        write([Document("n", "No fever", spans)], file, **({} if choices is None else {"choices": choices}))
        (task,) = json.loads(file.read_text())
        _, *beside = task["predictions"][0]["result"]
        assert [item["type"] for item in beside] == kinds
        chosen = beside[kinds.index("choices")]
        assert chosen["id"] == "T1" and chosen["value"]["choices"] in (["absent"], ["mild"])
        assert (chosen["value"]["start"], chosen["value"]["end"]) == (3, 8)
        assert read(file, source="predictions")[0].spans == spans


def test_discontinuous_spans_are_regions_that_relations_join(tmp_path):
    spans = (Span("Part", ((0, 4), (9, 12)), "a"), Span("Part", ((5, 8),), "a#2"))
    write([Document("n", "left and arm", spans)], tmp_path / "t.json", source="annotations")
    (task,) = json.loads((tmp_path / "t.json").read_text())
    (annotation,) = task["annotations"]
    assert set(annotation) == {"result"}
    assert [item.get("id") for item in annotation["result"]] == ["a", "a#2#", None, "a#2"]
    assert read(tmp_path / "t.json")[0].spans == spans


def test_ids_that_cannot_be_held_are_counted(tmp_path):
    spans = (Span("A", ((0, 1),), "x"), Span("A", ((1, 2),)))
    document = Document("n", "ab", spans, (Relation("r", "x", "x", "seven"),))
    assert write([document], tmp_path / "t.json") == {"ids": 3}
    (back,) = read(tmp_path / "t.json", source="predictions")
    assert [(link.head, link.tail, link.id) for link in back.relations] == [("T1", "T1", "R1")]


@pytest.mark.parametrize("options", [{"unit": "words"}, {"source": "both"}])
def test_options(tmp_path, options):
    with pytest.raises(InputError, match="option"):
        write([], tmp_path / "t.json", **options)
    assert list(tmp_path.iterdir()) == []
