from __future__ import annotations

import csv
import json

import pyarrow.parquet as parquet
import pytest

from clinprompt.data.table_rows import LONG
from clinprompt.data.writers.table import write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

TEXT = 'Aspirin "81 mg"\r\n, left and right arm'
SPANS = (
    Span("Drug", ((0, 7),), "T1", {"sure": "très"}),
    Span("Dose", ((9, 14),), "T2"),
    Span("Site", ((19, 23), (28, 37)), "T3"),
    Span("Drug", ((0, 7),), "T4"),
)
NOTES = (
    Document("n1", TEXT, SPANS, (Relation("dose of", "T2", "T1", "R1"),), "p1", {"site": "a"}),
    Document("n2", "Fine.", group="p1"),
    Document("n3", "Pain", (Span("Sign", ((0, 4),), "T1"),)),
)
ANSWERS = ({"flag": "high"}, {"flag": None}, {"flag": "low"})
MADE = {"clinprompt": "0.1", "backbone": "b9"}


def rows(path):
    if path.suffix == ".parquet":
        return [
            {key: "" if value is None else str(value) for key, value in row.items()}
            for row in parquet.read_table(path).to_pylist()
        ]
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_long(tmp_path, name):
    lost = write(NOTES, tmp_path / name, answers=ANSWERS, provenance=MADE)
    assert lost == {"documents without a row": 1, "metadata": 1, "texts": 3}
    found = rows(tmp_path / name)
    assert [(row["document"], row["kind"], row["label"]) for row in found] == [
        *(("n1", "span", label) for label in ("Drug", "Dose", "Site", "Drug")),
        ("n1", "relation", "dose of"),
        ("n1", "answer", "flag"),
        ("n3", "span", "Sign"),
        ("n3", "answer", "flag"),
    ]
    assert list(found[0]) == list(LONG)
    for row, span in zip(found, SPANS, strict=False):
        places = [tuple(map(int, part.split("-"))) for part in row["fragments"].split(";")]
        assert tuple(places) == span.fragments and (int(row["start"]), int(row["end"])) == (span.start, span.end)
        assert (row["surface"], row["id"], row["group"]) == (span.surface(TEXT), span.id, "p1")
        assert row["made_by"] == "clinprompt 0.1; backbone b9"
    assert json.loads(found[0]["attributes"]) == {"sure": "très"}
    assert (found[4]["head"], found[4]["tail"], found[5]["value"]) == ("T2", "T1", "high")


def test_parquet_has_numbers(tmp_path):
    write(NOTES, tmp_path / "t.parquet")
    kinds = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "t.parquet")}
    assert kinds == {name: "int64" if kind is int else "string" for name, kind in LONG.items()}


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_wide(tmp_path, name):
    lost = write(NOTES, tmp_path / name, layout="wide", answers=ANSWERS)
    assert lost == {"attributes": 1, "metadata": 1, "offsets": 5, "relations": 1, "texts": 3}
    first, second, third = rows(tmp_path / name)
    assert (first["Drug: n"], first["Drug: words"], first["dose of: n relations"]) == ("2", "Aspirin | Aspirin", "1")
    assert (first["Site: words"], first["answer: flag"]) == ("left right arm", "high")
    assert (second["Drug: n"], second["Drug: words"], second["answer: flag"]) == ("0", "", "")
    assert (third["document"], third["Sign: words"]) == ("n3", "Pain")


@pytest.mark.parametrize("layout", ["wide", "redcap"])
def test_what_can_be_read_only_once_gives_the_same(tmp_path, layout):
    for name, documents, answers in (("a", NOTES, ANSWERS), ("b", iter(NOTES), iter(ANSWERS))):
        write(documents, tmp_path / f"{name}.csv", layout=layout, answers=answers)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_redcap(tmp_path):
    other = Document("n4", "aspirin", (Span("Drug", ((0, 7),), "T1"),), group="p1")
    lost = write((*NOTES, other), tmp_path / "t.csv", layout="redcap", answers=(*ANSWERS, {}), codes={"Drug": 1})
    assert lost == {"ids": 1, "metadata": 1, "texts": 4}
    found = rows(tmp_path / "t.csv")
    assert list(found[0])[:3] == ["record_id", "redcap_repeat_instrument", "redcap_repeat_instance"]
    assert all(name == name.lower() for name in found[0])
    keys = [tuple(row[name] for name in list(found[0])[:3]) for row in found]
    assert keys == [
        *(("p1", "mention", str(number)) for number in range(1, 5)),
        ("p1", "relation", "1"),
        ("p1", "answer", "1"),
        ("n3", "mention", "1"),
        ("n3", "answer", "1"),
        ("p1", "mention", "5"),
    ]
    assert (found[0]["mention_label"], found[1]["mention_label"], found[2]["mention_fragments"]) == (
        "1",
        "Dose",
        "19-23;28-37",
    )
    assert (found[0]["mention_complete"], found[0]["answer_complete"], found[5]["answer_value"]) == ("1", "", "high")
    assert found[0]["mention_document"] == "n1" and found[-1]["mention_document"] == "n4"
    lost = write(NOTES, tmp_path / "u.csv", layout="redcap", evidence=False)
    assert lost["offsets"] == 5 and "mention_fragments" not in rows(tmp_path / "u.csv")[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [("t.xlsx", {}), ("t.csv", {"layout": "broad"}), ("t.csv", {"layout": "redcap", "codes": {"Drug": "a b"}})],
)
def test_options(tmp_path, name, options):
    with pytest.raises(InputError):
        write(NOTES, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []
