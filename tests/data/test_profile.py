from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.profile import profile, quantiles
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example


def example(name: str, note: str, answer: Answer, **inputs: str) -> Example:
    return Example(id=name, inputs={"note": note} | inputs, answer=answer, group=name[0])


def test_a_part_in_numbers():
    spans = tuple(Span(label="Drug", fragments=((0, 1),), id=f"T{n}") for n in (1, 2))
    link = Relation(label="with", head="T1", tail="T2")
    found = profile(
        [
            example("a1", "one two", Answer(label="yes"), question="?"),
            example("a2", "one two", Answer(label="no"), question="!"),
            example("a3", "one two", Answer(label="no"), question="?"),
            example("b1", " ", Answer(text="a written answer")),
            example("b2", "three", Answer(spans=spans, relations=(link,))),
        ],
        measure=lambda text: len(text.split()),
    )
    assert (found.examples, found.groups, found.repeated, found.empty) == (5, 2, 1, 1)
    assert (found.notes, found.answers) == ((0, 1, 2, 2, 2), (3,))
    assert found.labels == {"Drug": 2, "no": 2, "with": 1, "yes": 1}
    assert found.imbalance == 2.0


def test_nothing_at_all():
    found = profile([])
    assert (found.examples, found.notes, found.labels, found.imbalance) == (0, (), {}, None)
    assert quantiles(found.notes) == ()


def naive(lengths: Sequence[int], share: float) -> int:
    return next(n for n in sorted(lengths) if sum(other <= n for other in lengths) >= share * len(lengths))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_quantiles_by_counting(lengths):
    assert quantiles(lengths) == tuple(naive(lengths, share) for share in (0, 0.5, 0.95, 1))


def test_values_of_attributes_are_counted_and_words_of_people_are_not_shown():
    def said(**attributes: str) -> Example:
        return example("a", "x", Answer(spans=(Span("Problem", ((0, 1),), "T1", attributes),)))

    secret = "seen by Dr Zyxwvutine"
    found = profile(
        [
            *(said(assertion="absent", Negated="") for _ in range(2)),
            said(assertion="possible", remark=secret),
            *(said(**{"note AnnotatorNotes": secret, "concept": "C1", "long": "w" * 41}) for _ in range(3)),
        ],
        known=("possible",),
    )
    assert found.attributes == {
        "Problem": {
            "Negated": {"(flag)": 2},
            "assertion": {"absent": 2, "possible": 1},
            "concept": {"(other values)": 3},
            "long": {"(other values)": 3},
            "note AnnotatorNotes": {"(other values)": 3},
            "remark": {"(other values)": 1},
        }
    }
