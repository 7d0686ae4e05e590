from __future__ import annotations

from clinprompt.data.overlap import Overlap, overlap
from clinprompt.schema.example import Answer, Example


def example(name: str, note: str, group: str) -> Example:
    return Example(name, {"note": note}, Answer(), group)


def test_each_kind_is_counted():
    first = [example("a", "Chest pain.", "p1"), example("b", "Well.", "p2"), example("c", "", "p3")]
    second = [
        example("d", "Chest pain.", "q1"),
        example("e", "chest\r\n PAIN. ", "q2"),
        example("f", "Other.", "p2"),
        example("g", "More.", "p2"),
        example("h", "", "q3"),
        example("i", "chestpain.", "q4"),
    ]
    assert overlap(first, second) == Overlap(exact=1, normalised=2, groups=1, examples=("d", "e", "f", "g"))


def test_nothing_is_shared():
    assert overlap([], [example("a", "x", "g")]) == Overlap(0, 0, 0, ())
