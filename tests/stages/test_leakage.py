from __future__ import annotations

import csv
import json

import pytest

from clinprompt.backbones.embedded.notes_read import notes_read
from clinprompt.backbones.embedded.pretrain import own_conversations
from clinprompt.backbones.loading import resolve
from clinprompt.errors import InputError
from clinprompt.stages.configs import LeakageCheck, LeakageSettings
from clinprompt.stages.leakage import FILE, TABLE, leakage, read_leakage
from tests.stages.test_overlapping import note, prepared, root  # noqa: F401


def looked(root, **settings):  # noqa: F811
    run = leakage(LeakageSettings(**settings), runs=root / "runs")
    return run, {(line.role, line.seen): line for line in read_leakage(run.outputs)}


def test_a_source_that_holds_test_notes_is_found(root):  # noqa: F811
    target, source = prepared(root, "target").path, prepared(root, "source").path
    run, found = looked(root, targets=(target,), sources=(source,))
    # Each note differs from all others by its numbers alone: three of seventeen words.
    own, theirs = found["own", "target"], found["source", "source"]
    assert (own.n, own.exact, own.groups) == (4, 0, 0)
    assert theirs.exact == 1 and {"t10", "t11", "t12"} <= set(theirs.examples) and theirs.percent >= 75
    assert "t13" not in theirs.examples  # it stands in the source's test part, from which nothing is learnt
    [row, _] = csv.DictReader((run.outputs / TABLE).read_text().splitlines())
    assert row["target"] == "target" and "examples" not in row
    text = (run.outputs / FILE).read_text() + (run.outputs / TABLE).read_text()
    assert "fever" not in text and json.loads((run.outputs / FILE).read_text())["lines"]
    again, _ = looked(root, targets=(target,), sources=(source,))
    assert again.path == run.path


def test_a_source_made_apart_from_the_target_leaks_nothing(root):  # noqa: F811
    target = prepared(root, "target").path
    _, found = looked(root, targets=(target,), sources=(prepared(root, "source", apart_from=(target,)).path,))
    assert found["source", "source"].exact == found["source", "source"].near == 0


def with_patients(root, name, parts):  # noqa: F811
    """A task with notes by part: names of patients and numbers of notes."""
    (root / name).mkdir(exist_ok=True)
    for part, rows in parts.items():
        lines = [f'"{note(n)}",a,{name}{n},{patient}' for patient, n in rows]
        (root / name / f"{part}.csv").write_text("\n".join(["note,text,id,patient", *lines, ""]))
    text = (root / "target.yaml").read_text().replace("id: id", "id: id, group: patient").replace("target", name)
    (root / f"{name}.yaml").write_text(text)
    return prepared(root, name).path


def test_patients_are_compared_between_tasks_of_one_corpus_and_not_between_corpora(root):  # noqa: F811
    """Two tasks on the same notes: other notes of P1 and P2, who are tested, are among those that the source has."""
    target = with_patients(root, "asked", {"train": [("P8", 8)], "test": [("P1", 1), ("P2", 2), ("P3", 3)]})
    same = with_patients(root, "kin", {"train": [("P1", 51), ("P2", 52), ("P8", 58)], "test": [("P3", 3)]})
    other = with_patients(root, "strange", {"train": [("P1", 61), ("P2", 62)], "test": [("P3", 63)]})
    _, found = looked(root, targets=(target,), sources=(same, other), check=LeakageCheck(share=1.0, similar=1.0))
    assert found["source", "kin"].examples == ("asked1", "asked2") and found["source", "kin"].groups == 2
    assert found["source", "kin"].exact == 0
    assert found["source", "strange"].examples == () and found["own", "asked"].groups == 0


@pytest.mark.parametrize("reader", ["plain", "csv_table"])
def test_pretraining_text_is_gone_through_in_any_format(root, reader, monkeypatch):  # noqa: F811
    monkeypatch.setattr("clinprompt.stages.leakage._LONGEST", 300)
    monkeypatch.setattr("clinprompt.stages.leakage._SHARED", 120)
    filler = "Nothing of the kind stands here, and it goes on. " * 12
    text = f"{filler}{note(11)} {filler}"
    if reader == "plain":
        (root / "text").mkdir()
        (root / "text" / "a.txt").write_text(text)
        (root / "text" / "b.txt").write_text(filler)
        path, options = root / "text", {}
    else:
        path, options = root / "text.csv", {"note": "words", "id": "id"}
        path.write_text(f'id,words\n1,"{text}"\n2,"{filler}"\n')
    check = LeakageCheck(pretraining=path, reader=reader, reader_options=options)
    _, found = looked(root, targets=(prepared(root, "target").path,), check=check)
    line = found["pretraining", path.name]
    assert line.examples == ("t11",) and (line.exact, line.near) == (0, 1)


def test_the_embedded_backbone_is_compared_with_what_its_generator_made(root):  # noqa: F811
    made = notes_read(resolve("embedded"))
    assert made.count == 321_000 and made.run.tokens == 48_000_217
    first = next(iter(made))
    assert first == own_conversations(made.run, 0, rank=0)[0][0].note.text
    (root / "target" / "test.csv").write_text(f'note,text,id\n"{first}",a,t1\n"{note(1)}",a,t2\n')
    settings = {"targets": (prepared(root, "target").path,), "check": LeakageCheck(notes=3)}
    _, found = looked(root, backbone="embedded", **settings)
    line = found["pretraining", "the first 3 of about 321,000 notes of embedded"]
    assert line.examples == ("t1",) and line.exact == 1
    assert notes_read(root) is None  # another backbone says nothing about its text
    assert {role for role, _ in looked(root, **settings)[1]} == {"own"}


def test_a_text_that_is_not_there_is_refused(root):  # noqa: F811
    check = LeakageCheck(pretraining=root / "none")
    with pytest.raises(InputError, match="the input 'pretraining' does not exist"):
        looked(root, targets=(prepared(root, "target").path,), check=check)
