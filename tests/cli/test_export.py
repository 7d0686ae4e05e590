from __future__ import annotations

import json

from tests.made_notes import write_notes


def test_annotated_notes_into_another_format(clinprompt, tmp_path):
    notes = write_notes(tmp_path / "notes")
    out = tmp_path / "o.csv"
    ended = clinprompt(
        "data", "export", str(notes), "-f", "table", "-o", str(out), "--to-option", "layout=wide", "--json"
    )
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert said["lost"]["offsets"] == said["read"]["spans"] > 0
    assert json.loads((tmp_path / "o.csv.loss.json").read_text())["lost"] == said["lost"]
    assert "table cannot hold" in ended.err
    again = clinprompt("data", "export", str(notes), "-f", "table", "-o", str(out))
    assert again.code == 2 and "there already" in again.err
    assert clinprompt("data", "export", str(notes), "-f", "table", "-o", str(out), "--overwrite").code == 0


def test_a_misspelt_format_and_an_option_without_a_value(clinprompt, tmp_path):
    notes = write_notes(tmp_path / "notes")
    ended = clinprompt("data", "export", str(notes), "-f", "boic", "-o", str(tmp_path / "o.xml"))
    assert ended.code == 2 and "did you mean bioc" in ended.err.lower()
    ended = clinprompt("data", "export", str(notes), "-f", "bioc", "-o", str(tmp_path / "o.xml"), "--to-option", "unit")
    assert ended.code == 2 and "--to-option unit" in ended.err


def test_formats_are_shown(clinprompt):
    ended = clinprompt("show", "writers")
    assert ended.code == 0 and "note_nlp" in ended.out
    ended = clinprompt("show", "writers", "bioc")
    assert ended.code == 0 and "infons" in ended.out
