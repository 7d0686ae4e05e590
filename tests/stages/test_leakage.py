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
