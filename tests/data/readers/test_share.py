"""Disorders in ShARe's pipe-delimited lines (the corpus is given on application only)."""

from __future__ import annotations

from pathlib import Path

from clinprompt.data.readers import share

GOOD = Path(__file__).parents[2] / "samples" / "share" / "good"


def test_disorders_have_their_pieces_concepts_and_slots():
    note, nothing = share.read(GOOD, group="([0-9]+)-")
    assert [span.surface(note.text) for span in note.spans] == ["chest pain", "fever", "left atrium dilated"]
    said = [dict(span.attributes) for span in note.spans]
    assert [one["concept"] for one in said] == ["UMLS:C0008031", "UMLS:C0015967", "UMLS:C0344720"]
    assert [one["negation"] for one in said] == ["no", "yes", "no"]
    assert said[2]["severity"] == "moderate" and said[2]["body location"] == "C0225860"
    assert "body location" not in said[0] and not nothing.spans
