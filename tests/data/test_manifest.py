from __future__ import annotations

import json

import pytest

from clinprompt import __version__
from clinprompt.data.manifest import FILE, read_manifest, read_part, verify, write_parts
from clinprompt.errors import InputError, InputErrors
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example


def example(name: str, note: str, group: str, answer: Answer) -> Example:
    return Example(name, {"note": note}, answer, group)


SPANS = (Span("Drug", ((0, 4),), "T1"), Span("Drug", ((5, 8),), "T2"))
PARTS = {
    "train": [
        example("a", "Pain and rash", "p1", Answer(spans=SPANS, relations=(Relation("with", "T1", "T2"),))),
        example("b", "No pain", "p1", Answer(label="yes")),
    ],
    "test": [
        example("c", "no  PAIN", "p2", Answer(label="no")),
        example("d", "Well", "p1", Answer(label="no")),
    ],
}


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "corpora" / "x" / "notes.txt"
    source.parent.mkdir(parents=True)
    source.write_text("Pain")
    write_parts(
        tmp_path / "out",
        [(part, one) for part in ("test", "train") for one in PARTS[part]],
        task="signs",
        reader="brat",
        licence="CC BY 4.0",
        source_root=tmp_path / "corpora",
        source_files=[source],
    )
    return tmp_path / "out"


def test_the_manifest_says_what_is_there(folder):
    manifest = verify(folder, source_root=folder.parent / "corpora")
    assert (manifest.task, manifest.reader, manifest.licence, manifest.clinprompt) == (
        "signs",
        "brat",
        "CC BY 4.0",
        __version__,
    )
    train, test = manifest.parts["train"], manifest.parts["test"]
    assert (train.examples, train.groups, train.labels, train.relations) == (
        2,
        1,
        {"Drug": 2, "yes": 1},
        {"with": 1},
    )
    assert (test.examples, test.groups, test.labels) == (2, 2, {"no": 2})
    (shared,) = manifest.overlaps
    assert (shared.first, shared.second, shared.exact, shared.normalised, shared.groups) == (
        "train",
        "test",
        0,
        1,
        1,
    )
    assert [record.file for record in manifest.sources] == ["x/notes.txt"]
    assert str(folder.parent) not in (folder / FILE).read_text()
    for part, examples in PARTS.items():
        assert list(read_part(folder, part)) == examples


def test_what_stops_the_examples_leaves_nothing(tmp_path):
    def stopping():
        yield "train", PARTS["train"][0]
        raise InputError("a fault at the end")

    with pytest.raises(InputError, match="at the end"):
        write_parts(tmp_path / "out", stopping(), task="t", reader="r")
    assert list((tmp_path / "out").iterdir()) == []


def test_changed_files_are_noticed_all_at_once(folder):
    for file in (folder / "train.parquet", folder / "test.parquet"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    with pytest.raises(InputErrors) as caught:
        verify(folder)
    assert len(caught.value.faults) == 2
    with pytest.raises(InputError, match="names"):
        read_part(folder, "train")


def test_missing_parts_and_changed_sources(folder):
    (folder / "train.parquet").unlink()
    (folder.parent / "corpora" / "x" / "notes.txt").write_text("Other")
    with pytest.raises(InputErrors, match="missing"):
        verify(folder, source_root=folder.parent / "corpora")


def test_unknown_part_and_missing_manifest(folder, tmp_path):
    with pytest.raises(InputError, match="train, test"):
        read_part(folder, "dev")
    with pytest.raises(InputError, match=r"manifest\.json"):
        verify(tmp_path)


@pytest.mark.parametrize("change", [{"extra": 1}, {"parts": {"train": {"file": "x"}}}, {"task": 7}])
def test_another_form_is_refused(folder, change):
    text = json.loads((folder / FILE).read_text()) | change
    (folder / FILE).write_text(json.dumps(text))
    with pytest.raises(InputError, match="another form"):
        read_manifest(folder)


def test_sources_lie_below_their_root(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("Pain")
    with pytest.raises(InputError, match="data root"):
        write_parts(tmp_path / "o", [], task="t", reader="r", source_root=tmp_path / "c", source_files=[file])
