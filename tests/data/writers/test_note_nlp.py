from __future__ import annotations

import csv

import pyarrow.parquet as parquet
import pytest

from clinprompt.data.writers.note_nlp import COLUMNS, NUMBERS, write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

TEXT = "No fever. Left and right arm pain. " + "word " * 60
SPANS = (
    Span("Sign", ((3, 8),), "T1", {"assertion": "absent", "a": "x;y=z"}),
    Span("Site", ((10, 14), (19, 28)), "T2", {"temporality": "historical"}),
    Span("All", ((0, 330),)),
)
NOTE = Document("17", TEXT, SPANS, (Relation("r", "T1", "T2"),), "p1", {"site": "a"})
MADE = {"clinprompt": "0.1", "backbone": "b9", "prompts": [{"task": "signs", "sha256": "cd" * 32}]}


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_and_counts(tmp_path):
    lost = write(
        [NOTE], tmp_path / "n.csv", provenance=MADE, concepts={"Sign": 437663}, first_id=5, date="2026-01-31T08:15"
    )
    assert lost == {
        "discontinuous": 1, "ends of long words": 1, "groups": 1, "ids": 2, "metadata": 1, "relations": 1,
    }  # fmt: skip
    sign, site, every = rows(tmp_path / "n.csv")
    assert tuple(sign) == COLUMNS
    assert sign == {
        "note_nlp_id": "5",
        "note_id": "17",
        "section_concept_id": "0",
        "snippet": TEXT[:68],
        "offset": "3",
        "lexical_variant": "fever",
        "note_nlp_concept_id": "437663",
        "note_nlp_source_concept_id": "0",
        "nlp_system": "clinprompt 0.1; signs cdcdcdcdcdcd; backbone b9",
        "nlp_date": "2026-01-31",
        "nlp_datetime": "2026-01-31 08:15:00",
        "term_exists": "N",
        "term_temporal": "",
        "term_modifiers": "a=x\\;y\\=z;assertion=absent;label=Sign;",
    }
    assert (site["offset"], site["lexical_variant"], site["term_exists"], site["term_temporal"]) == (
        "10", "Left right arm", "Y", "Past",
    )  # fmt: skip
    assert (len(every["lexical_variant"]), len(every["snippet"]), every["note_nlp_id"]) == (250, 250, "7")


def test_an_end_only_on_demand_and_numbers_in_parquet(tmp_path):
    write([NOTE], tmp_path / "n.parquet", offset_end=True)
    table = parquet.read_table(tmp_path / "n.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert {field.name for field in table.schema if str(field.type) == "int64"} == set(NUMBERS)
    assert table.column("offset").to_pylist() == ["3-8", "10-28", "0-330"]


@pytest.mark.parametrize(
    ("name", "note", "options", "match"),
    [
        ("n.csv", Document("n17", "x"), {}, "note_id"),
        ("n.txt", NOTE, {}, "form"),
        ("n.csv", NOTE, {"date": "yesterday"}, "date"),
    ],
)
def test_bad_input(tmp_path, name, note, options, match):
    with pytest.raises(InputError, match=match):
        write([note], tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []
