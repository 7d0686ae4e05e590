"""An encoder through the command line: cross-validation, and what cannot be asked is told."""

from __future__ import annotations

import json
import re

from clinprompt.backbones.tiny_encoders import write_tiny_encoder

ADAPT = ("adapt", "data", "-b", "tiny", "--method", "prompt-tuning", "--set", "method.budget.steps=1",
         "--set", "prompt.length=2")  # fmt: skip
FOLDS = ("--set", "method.budget.folds=2", "--set", "method.budget.rates=[0.1, 0.3]")


def note(number):
    """Three mentions: a whole word, a part of one, and one in two parts."""
    text = f"took aspirin daily with pain {number}."
    lines = ["T1\tDrug 5 12\taspirin", "T2\tDrug 6 12\tspirin", "T3\tSign 0 4;24 28\ttook pain"]
    return text, "".join(f"{line}\n" for line in lines)


def said(ended):
    return re.sub(r"\s+", " ", ended.out + ended.err)


def test_what_cannot_be_asked_and_the_losses_of_folds_are_told(tmp_path, monkeypatch, clinprompt):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    for number in range(9):
        text, annotations = note(number)
        (tmp_path / "notes" / f"n{number}.txt").write_text(text)
        (tmp_path / "notes" / f"n{number}.ann").write_text(annotations)
    write_tiny_encoder(tmp_path / "tiny", family="bert")
    assert clinprompt("data", "import", "notes", "-o", "data", "--name", "marks").code == 0
    parts = json.loads((tmp_path / "data" / "manifest.json").read_text())["parts"]
    many = {name: part["examples"] for name, part in parts.items()}

    adapted = clinprompt(*ADAPT, *FOLDS)
    assert adapted.code == 0, adapted.err
    for part in ("train", "dev"):
        told = f"{2 * many[part]} of {3 * many[part]} answers cannot be asked: {many[part]} in several parts"
        assert f"marks, {part}: {told}, {many[part]} not at token borders" in said(adapted)
    assert re.search(r"marks/full: mean loss over folds by rate: 0\.1: 0?\.\d+, 0\.3: 0?\.\d+", said(adapted))
    [run] = tmp_path.glob("runs/adapt/*")
    assert "answers cannot be asked" in (run / "log.txt").read_text()

    shown = clinprompt("evaluate", "data", "-b", "tiny", "-p", str(run), "--set", "resamples=100", "--json")
    [cell] = json.loads(shown.out)["cells"]
    n = many["test"]
    assert cell["unaskable"] == {"answers": 3 * n, "itself": 0, "parts": n, "values": 0, "borders": n}
    again = clinprompt("evaluate", "data", "-b", "tiny", "-p", str(run), "--set", "resamples=100")
    assert f"marks: {2 * n} of {3 * n} answers cannot be asked" in said(again)

    refused = clinprompt(*ADAPT, *FOLDS, "--set", "method.budget.folds=8")
    assert refused.code == 2 and "8 folds need training examples of at least 8" in said(refused)
