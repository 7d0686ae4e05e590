"""What every writer keeps to: read(write(x)) == x, nothing half written, nothing overwritten unasked."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.data.readers import READERS
from clinprompt.data.writers import FOLDERS, WRITERS
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span
from tests.data.drawn import documents, has_xml_form

# writer, name of what it writes, its options, the reader's options
FORMS = [
    ("bioc", "out.json", {}, {}),
    ("bioc", "out.xml", {}, {}),
    ("bioc", "bytes.xml", {"unit": "byte"}, {}),
    ("bioc", "units.json", {"unit": "utf16"}, {}),
    ("brat", "out", {}, {}),
    ("jsonl", "out.jsonl", {}, {}),
    ("label_studio", "out.json", {}, {"source": "predictions"}),
    ("label_studio", "units.json", {"unit": "utf16", "source": "annotations"}, {"unit": "utf16"}),
]
ONE_WAY = [
    ("conll", "out.tsv"),  # what it holds is read back in its own test
    ("fhir", "out.json"),
    ("html", "out.html"),
    ("note_nlp", "out.csv"),
    ("note_nlp", "out.parquet"),
    ("table", "out.csv"),
    ("table", "out.parquet"),
]
ROUND_TRIPS = 100_000
"""Cases of the long run, over all forms: python -m pytest -m slow tests/contracts/test_writers.py"""
PLACES = [(name, place) for name, place, _, _ in FORMS] + ONE_WAY
GOOD = Document(id="1", text="Aspirin", spans=(Span(label="Drug", fragments=((0, 7),), id="T1"),))


def test_every_writer_has_a_place():
    assert {name for name, _ in PLACES} == set(WRITERS)
    assert {name for name, place in PLACES if not Path(place).suffix} == FOLDERS


def check_round_trip(form, first, second):
    name, place, writing, reading = form
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / place
        if place.endswith(".xml") and not (has_xml_form(first) and has_xml_form(second)):
            with pytest.raises(InputError, match="XML"):
                WRITERS[name]([first, second], path, **writing)
            assert not path.exists()
            return
        held, lost = zip(*(as_held(name, document) for document in (first, second)), strict=True)
        assert WRITERS[name]([first, second], path, **writing) == dict(+sum(lost, Counter()))
        assert READERS[name](path, **reading) == list(held)


def as_held(name: str, document: Document) -> tuple[Document, Counter[str]]:
    """What the format holds of a document, and what it does not, counted: BioC has names of its own."""
    taken = {"type", "identifier"} if name == "bioc" else set()
    ours = {"clinprompt.unit", "clinprompt.group"} if name == "bioc" else set()
    kept = [{key: span.attributes[key] for key in span.attributes if key not in taken} for span in document.spans]
    spans = tuple(replace(span, attributes=left) for span, left in zip(document.spans, kept, strict=True))
    metadata = {key: value for key, value in document.metadata.items() if key not in ours}
    lost = Counter(
        attributes=sum(len(span.attributes) for span in document.spans) - sum(map(len, kept)),
        metadata=len(document.metadata) - len(metadata),
    )
    return replace(document, spans=spans, metadata=metadata), lost


def pairs(name: str):
    # brat has no place for groups and metadata, nor for attributes of any text.
    return st.tuples(*(documents(identity=f"a/n{place}", loose=name not in FOLDERS) for place in (1, 2)))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]}-{form[1]}")
@settings(max_examples=25)
@given(data=st.data())
def test_what_was_written_is_read_back(form, data):
    check_round_trip(form, *data.draw(pairs(form[0])))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]}-{form[1]}")
@settings(max_examples=-(-ROUND_TRIPS // len(FORMS)))
@given(data=st.data())
def test_what_was_written_is_read_back_of_many(form, data):
    check_round_trip(form, *data.draw(pairs(form[0])))


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_existing_work_is_replaced_only_when_asked(name, place, tmp_path):
    def content() -> dict[str, bytes]:
        return {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    path = tmp_path / place
    fixed = {"fhir": {"recorded": "2026-01-31T08:00:00+00:00"}, "note_nlp": {"date": "2026-01-31"}}.get(name, {})
    WRITERS[name]([GOOD], path, **fixed)
    good = content()
    WRITERS[name]([Document(id="2", text="Other")], path, overwrite=True, **fixed)
    other = content()
    assert other != good
    with pytest.raises(InputError, match="overwrite"):
        WRITERS[name]([GOOD], path, **fixed)
    assert content() == other
    WRITERS[name]([GOOD], path, overwrite=True, **fixed)
    assert content() == good
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("name", "place"), PLACES)
@pytest.mark.parametrize("done", [0, 2])
def test_a_failure_leaves_nothing(name, place, done, tmp_path):
    def stream():
        for number in range(done):
            yield Document(id=str(number), text="Well.")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        WRITERS[name](stream(), tmp_path / place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_where_it_comes_from_is_kept(name, place, tmp_path):
    provenance = {"clinprompt": "0.1", "backbone": "fingerprint9", "prompts": [{"task": "drugs", "sha256": "ab" * 32}]}
    WRITERS[name]([GOOD], tmp_path / place, provenance=provenance)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"fingerprint9" in written and b"drugs" in written
