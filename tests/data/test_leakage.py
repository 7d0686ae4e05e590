from __future__ import annotations

from clinprompt.data.leakage import Watch, of_one_corpus
from clinprompt.data.overlap import NoteIndex
from clinprompt.schema.example import Answer, Example


def note(number: int) -> str:
    return f"Patient {number} came with fever of {number} days and left after {number} nights without any complaint at all."


def example(name: str, text: str, group: str = "") -> Example:
    return Example(name, {"note": text}, Answer(), group or name)


SCORED = [
    example("same", note(1)),
    example("cased", note(2)),
    example("part", note(3) + " He was well again soon."),
    example("whole", f"Dear colleague, {note(4)} " + " ".join(f"other{n}" for n in range(60))),
    example("kin", note(5), group="P"),
    example(
        "alike", "On 3 May he was seen by Dr Smith for a cough and a fever since two days and was given rest and tea"
    ),
    example("clean", note(6)),
    example("empty", " "),
]
SEEN = [
    example("s1", note(1)),
    example("s2", note(2).upper().replace(" ", "  ")),
    example("s3", note(3) + " Then much else was written about another matter of no import to this."),
    example("s4", note(4)),
    example("s5", "nothing of the kind", group="P"),
    example("s6", "On 3 May he was seen by Dr Jones for a cough and a fever since two days and was given rest and tea"),
    example("s7", " "),
]


def leak(*parts, **options):
    watch = Watch(SCORED, **options)
    for part in parts:
        watch.see(NoteIndex(part))
    return watch.leak()


def test_every_way_of_having_seen_an_example_is_counted():
    found = leak(SEEN, same_groups=True)
    assert found.examples == ("same", "cased", "part", "whole", "kin", "alike")
    assert (found.exact, found.normalised, found.groups) == (1, 2, 1)
    assert found.near >= 4 and found.similar >= 3
    assert leak(SEEN).examples == ("same", "cased", "part", "whole", "alike")  # P may be anybody, between tasks


def test_notes_that_are_numbered_anew_in_each_file_are_no_patients():
    watch = Watch([example("1", note(7)), example("1#2", note(7), group="1"), example("2", note(8))], same_groups=True)
    watch.see(NoteIndex([example("1", note(60)), example("2", note(61))]))
    assert watch.leak().groups == 0 and watch.leak().examples == ()


def test_tasks_are_of_one_corpus_by_a_note_in_the_same_group():
    first = [example("a1", note(1), "P1"), example("a2", "No complaints.", "P2"), example("a3", note(3), "P3")]
    assert of_one_corpus(first, [example("b1", note(9), "P1"), example("b2", note(3), "P3")])
    assert not of_one_corpus(
        first, [example("b1", note(9), "P1"), example("b2", note(3), "P1")]
    )  # the same words elsewhere
    assert not of_one_corpus(first, [example("b1", "No complaints.", "P2")]) and not of_one_corpus(first, [])


def test_it_does_not_matter_in_how_many_parts_it_is_seen():
    assert leak(*([one] for one in SEEN), same_groups=True) == leak(SEEN, same_groups=True)
    assert leak(SEEN[::-1], same_groups=True) == leak(SEEN, same_groups=True)


def test_parts_of_a_note_seen_in_several_places_add_up():
    text = " ".join(f"word{n}" for n in range(100))
    words = text.split()
    pieces = [
        example(f"p{n}", " ".join([*words[20 * n : 20 * n + 20], *(f"z{n}{k}" for k in range(60))])) for n in range(4)
    ]
    watch = Watch([example("long", text)])
    for number, piece in enumerate(pieces):
        watch.see(NoteIndex([piece]))
        # 13 runs of eight words of the note's 93 come with each piece
        assert bool(watch.leak().examples) == (13 * (number + 1) >= 46.5)


def test_nothing_seen_is_nothing_leaked():
    assert leak().examples == () == leak([]).examples
    assert leak([example("x", "quite something else, of other words")]).examples == ()
