from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.overlap import NoteIndex, Overlap, PartOverlap, compare, overlap, without_overlap
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


LONG = "The patient was admitted with fever and cough of three days and was treated with oral amoxicillin at home."
OTHER = "Her brother works in a bakery, sleeps in the afternoon and reads two newspapers before his evening walk."


def index(*rows: tuple[str, str]) -> NoteIndex:
    return NoteIndex([example(str(n), note, group) for n, (note, group) in enumerate(rows)])


def test_pairs_of_parts_are_compared_both_ways():
    parts = {
        ("a", "train"): index((LONG, "p1"), ("Short.", "p2"), ("Short.", "p3"), ("", "p4")),
        ("a", "test"): index(("short. ", "p1")),
        ("b", "test"): index((LONG[:80], "q"), (OTHER, "p4"), (LONG, "r"), (LONG[4:], "p1")),
    }
    found = {(pair.first, pair.second): pair for pair in compare(parts)}
    assert len(found) == 3
    assert found[("a", "train"), ("a", "test")] == PartOverlap(("a", "train"), ("a", "test"), 1, 0, 1, 1, 1)
    assert found[("a", "train"), ("b", "test")] == PartOverlap(("a", "train"), ("b", "test"), 1, 1, 1, 1, 3)
    assert found[("a", "test"), ("b", "test")].nothing
    assert [(pair.first, pair.second) for pair in compare(parts, within=False)] == list(found)[1:]


def test_what_a_test_part_holds_is_left_out_with_its_whole_group():
    examples = [
        example("same", "short  one", "p1"),
        example("beside", "Something else altogether.", "p1"),
        example("part", LONG[:70], "p2"),
        example("whole", f"{OTHER} {OTHER.upper()} And now: {LONG} That was all that there was to say.", "p3"),
        example("kept", OTHER, "p4"),
        example("empty", "", "p5"),
    ]
    kept, counts = without_overlap(examples, {"x": index(("Short one", "a")), "y": index((LONG, "b"), ("", "c"))})
    assert [one.id for one in kept] == ["kept", "empty"] and counts == {"x": 2, "y": 2}
    assert without_overlap(examples, {"z": index(("Nothing of it.", "p4"))}) == (examples, {})


@given(st.lists(st.tuples(st.sampled_from((LONG, OTHER, LONG[:60], OTHER[30:], "x y")), st.sampled_from("abcd"))))
def test_nothing_near_is_left(rows):
    held_out = index((LONG, "p"), ("x  Y", "q"))
    examples = [example(str(n), note, group) for n, (note, group) in enumerate(rows)]
    kept, counts = without_overlap(examples, {"t": held_out})
    left = NoteIndex(kept)
    assert not left.near(held_out) and not left.normalised & held_out.normalised and not held_out.near(left)
    assert len(kept) + sum(counts.values()) == len(examples)
    gone = {one.group for one in examples} - left.groups
    assert all(one in kept for one in examples if one.group not in gone)
