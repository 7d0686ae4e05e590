"""What every reader keeps to; each row of READERS enters by its folder in ``tests/samples``.

``expected.json`` names the good sample, what is read from it, and malformed samples: each must give an InputError
that names the places in ``names`` and does not repeat the canary word that stands in the sample's text.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinprompt.data.readers import READERS
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example

SAMPLES = Path(__file__).parents[1] / "samples"
CANARY = "zanzibarquince"
WITHOUT_FILES = {"synthetic": {"n": 3, "seed": 1}}
EXTRAS = {"hub": "datasets"}
"""Reader to the package of an extra that it needs."""


@pytest.fixture(autouse=True)
def skipped_without_its_extra(request):
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])


def expected(name: str) -> dict:
    file = SAMPLES / name / "expected.json"
    assert file.is_file(), f"the reader {name!r} has no contract sample: write tests/samples/{name}/expected.json"
    return json.loads(file.read_text(encoding="utf-8"))


def read_good(name: str) -> list:
    if name in WITHOUT_FILES:
        return READERS[name](None, **WITHOUT_FILES[name])
    plan = expected(name)
    return READERS[name](SAMPLES / name / plan["path"], **plan["options"])


def with_files() -> list[str]:
    return [name for name in READERS if name not in WITHOUT_FILES]


def malformed() -> list:
    # A row without samples fails in its own tests below, not here, where it would hide those of the others.
    rows = [name for name in with_files() if (SAMPLES / name / "expected.json").is_file()]
    return [
        pytest.param(name, plan, id=f"{name}-{place}")
        for name in rows
        for place, plan in enumerate(expected(name)["malformed"])
    ]


def test_sample_folders_belong_to_readers():
    assert {folder.name for folder in SAMPLES.iterdir() if (folder / "expected.json").is_file()} <= set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_records_have_ids_groups_and_one_type(name):
    records = read_good(name)
    assert records
    assert {type(record) for record in records} in ({Document}, {Example})
    assert len({record.id for record in records}) == len(records)
    assert all(record.id and record.group for record in records)


@pytest.mark.parametrize("name", READERS)
def test_reading_twice_gives_the_same(name):
    assert read_good(name) == read_good(name)


@pytest.mark.parametrize("name", READERS)
def test_answers_stand_on_their_note(name):
    for record in read_good(name):
        text, answer = (record.text, record) if isinstance(record, Document) else (record.note, record.answer)
        ids = [span.id for span in answer.spans]
        assert len(set(ids)) == len(ids)
        for span in answer.spans:
            assert 0 <= span.start < span.end <= len(text)
        assert {end for link in answer.relations for end in (link.head, link.tail)} <= set(ids)
        if isinstance(record, Example) and record.choices:
            assert answer.label in dict(record.choices)
            assert record.inputs["options"] == " ".join(f"{key}: {words}" for key, words in record.choices)


@pytest.mark.parametrize("name", with_files())
def test_good_sample_is_read_whole(name):
    plan, records = expected(name), read_good(name)
    assert len(records) == plan["records"]
    assert len({record.group for record in records}) == plan["groups"]
    if isinstance(records[0], Document):
        assert sum(len(record.spans) for record in records) == plan["spans"]
        assert sum(len(record.relations) for record in records) == plan["relations"]
    first, wanted = records[0], plan["first"]
    text = first.text if isinstance(first, Document) else first.note
    found = {"id": first.id, "group": first.group, "text": text}
    if isinstance(first, Example):
        found |= {"label": first.answer.label, "answer": first.answer.text, "slots": sorted(first.inputs)}
        found |= {"options": first.inputs.get("options")}
    elif first.spans:
        span = first.spans[0]
        places = [list(fragment) for fragment in span.fragments]
        found["span"] = {"label": span.label, "fragments": places, "surface": span.surface(text)}
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize(("name", "plan"), malformed())
def test_malformed_sample_names_the_place_and_not_the_text(name, plan):
    with pytest.raises(InputError) as caught:
        READERS[name](SAMPLES / name / plan["path"], **plan.get("options", {}))
    message = str(caught.value)
    assert CANARY not in message
    assert all(place in message for place in plan["names"]), message


@pytest.mark.parametrize("name", with_files())
def test_missing_path_is_the_users_fault(name, tmp_path):
    options = {"note": "note"} if name in ("csv_table", "hub") else {}
    for path in (None, tmp_path / "nowhere"):
        with pytest.raises(InputError):
            READERS[name](path, **options)


@pytest.mark.parametrize("name", with_files())
def test_every_reader_has_malformed_samples_with_the_canary(name):
    files = [file for file in (SAMPLES / name).rglob("*") if file.is_file()]
    assert expected(name)["malformed"]
    assert any(CANARY.encode() in file.read_bytes() for file in files)
