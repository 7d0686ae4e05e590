from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.limit import limited, short_enough
from clinprompt.schema.example import Answer, Example


def made(groups):
    return [Example(f"e{i}", {"note": "n"}, Answer(), f"g{group}") for i, group in enumerate(groups)]


def test_of_a_corpus_that_is_sorted_by_its_answer_both_answers_are_kept():
    kept = limited(made(range(1000)), 100)
    early = sum(int(example.group[1:]) < 500 for example in kept)
    assert len(kept) == 100 and 30 < early < 70


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 30), st.integers(0, 30))
def test_fewer_are_the_beginning_of_more_and_one_group_at_most_is_cut(groups, limit, more):
    examples = made(groups)
    kept = limited(examples, limit)
    if len(examples) > limit:
        assert len(kept) == limit
        if len(examples) > limit + more:
            assert limited(examples, limit + more)[:limit] == kept
        cut = {e.group for e in kept} & {e.group for e in examples if e not in kept}
        assert len(cut) <= 1
        assert limited(kept, max(1, limit - 1)) == kept[: max(1, limit - 1)]
    else:
        assert kept == examples


def test_all_of_them_keep_their_order():
    examples = made([3, 1, 2])
    assert limited(examples, 3) == limited(examples, None) == examples


def test_options_and_a_free_answer_count_for_the_length():
    plain = Example("e1", {"note": "four", "question": "two"}, Answer(), "g")
    asked = Example("e2", {"note": "four", "question": "two"}, Answer(label="A"), "g", choices=(("A", "yes"),))
    written = Example("e3", {"note": "four", "question": "two"}, Answer(text="words"), "g")
    examples = [plain, asked, written]
    assert short_enough(examples, None) == examples
    assert [short_enough(examples, n) for n in (6, 7, 10, 12)] == [[], [plain], [plain, asked], examples]
