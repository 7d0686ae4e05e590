import torch
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.maths.span_decoding import apart, candidates, decode

logits = st.integers(-3, 3).map(lambda n: n / 2)


@st.composite
def questions(draw):
    size = draw(st.integers(0, 7))
    edges = draw(st.lists(st.tuples(logits, logits), min_size=size, max_size=size))
    counted = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    match = draw(st.lists(logits, min_size=size * size, max_size=size * size))
    tensors = torch.tensor(edges).reshape(size, 2), torch.tensor(counted, dtype=torch.bool)
    return *tensors, torch.tensor(match).reshape(size, size)


def found(edges, counted, match, *, flat=False):
    pairs = candidates(edges, counted)
    return decode(pairs, match[pairs[:, 0], pairs[:, 1]], flat=flat)


def naive(edges, counted, match):
    T = len(edges)
    return [
        (i, j, float(match[i, j]))
        for i in range(T)
        for j in range(i, T)
        if counted[i] and counted[j] and edges[i, 0] > 0 and edges[j, 1] > 0 and match[i, j] > 0
    ]


@given(question=questions())
def test_spans_are_those_of_a_double_loop(question):
    assert found(*question) == naive(*question)


@given(question=questions())
def test_flat_takes_the_best_again_and_again_and_what_overlaps_it_away(question):
    left, taken = naive(*question), []
    while left:
        best = max(left, key=lambda span: (span[2], -span[0], span[1]))
        taken.append(best)
        left = [span for span in left if set(range(span[0], span[1] + 1)).isdisjoint(range(best[0], best[1] + 1))]
    assert found(*question, flat=True) == sorted(taken)


def test_nested_and_overlapping_spans_are_kept_unless_flat():
    spans = [(0, 4, 1.0), (1, 2, 3.0), (2, 5, 2.0), (6, 6, 0.5)]
    pairs = torch.tensor([span[:2] for span in spans])
    scores = torch.tensor([span[2] for span in spans])
    assert decode(pairs, scores) == sorted(spans)
    assert decode(pairs, scores, flat=True) == [(1, 2, 3.0), (6, 6, 0.5)]
    assert apart([]) == []


def test_a_logit_of_exactly_zero_is_no_answer():
    edges = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert len(candidates(edges, torch.tensor([True, True]))) == 0
    assert decode(torch.tensor([[0, 0]]), torch.tensor([0.0])) == []
