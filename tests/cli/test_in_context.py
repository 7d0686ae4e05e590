"""Examples before the note by the command line: adapted, taken away as text, scored."""

from __future__ import annotations

from clinprompt.stages.configs import PrepareSettings
from clinprompt.stages.prepare import prepare
from tests.made_backbones import tiny_folder


def test_the_examples_are_told_of_copied_and_scored(clinprompt, tmp_path):
    limits = {"train": 2, "dev": 1, "test": 1}
    target = str(prepare(PrepareSettings(task="lab-flag", limits=limits), runs=tmp_path).path)
    backbone = str(tiny_folder(tmp_path / "backbone", context=8192))
    places = ("--runs", str(tmp_path / "runs"), "--backbone", backbone)
    asked = ("adapt", target, "--method", "in-context", "--shots", "2", *places)

    ended = clinprompt(*asked, "--out", str(tmp_path / "out"))
    assert ended.code == 0 and "2 of 2 examples stand before every note" in ended.out + ended.err
    assert (tmp_path / "out" / "lab-flag.txt").read_text().count("<ans>") == 2
    [run] = (tmp_path / "runs" / "adapt").iterdir()
    ended = clinprompt("evaluate", target, "-p", str(run), "--set", "answer_tokens=4", *places)
    assert ended.code == 0 and "in-context" in ended.out + ended.err

    ended = clinprompt(*asked, "--set", "method.fit=8192")
    assert ended.code == 2 and "leave no room for a note" in ended.err and "method.fit" in ended.err
    notes, found = tmp_path / "notes", tmp_path / "found"
    notes.mkdir()
    (notes / "one.txt").write_text("Potassium 5.9.")
    ended = clinprompt("predict", str(notes), "-p", str(tmp_path / "out" / "lab-flag.txt"), "--out", str(found))
    assert ended.code == 2 and "score the run that chose them" in " ".join(ended.err.split())
