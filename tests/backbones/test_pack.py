import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.attention import AttentionTerms
from clinprompt.backbones.pack import Pack, Segment

HEADS, KEY_HEADS, D = 4, 2, 8


@st.composite
def trees(draw):
    """Segments with parents, with pasts that some share, or neither."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    pasts = [
        torch.randn(1, 2, KEY_HEADS, length, D, dtype=torch.float64, generator=generator)
        for length in draw(st.lists(st.integers(1, 70), min_size=1, max_size=2))
    ]
    segments = []
    for _ in range(draw(st.integers(1, 7))):
        size = draw(st.integers(1, 60))
        kind = draw(st.sampled_from(["root", "past", "child"]))
        if kind == "past":
            past = pasts[draw(st.integers(0, len(pasts) - 1))]
            segments.append(Segment([0] * size, first=past.shape[3], past=past))
        elif kind == "child" and (parents := [i for i, one in enumerate(segments) if one.past is None]):
            parent = draw(st.sampled_from(parents))
            first = segments[parent].first + len(segments[parent].ids)
            segments.append(Segment([0] * size, first=first, parent=parent))
        else:
            segments.append(Segment([0] * size))
    return segments


def naive(segments, starts, query, key, value, terms):
    """Each token looks at its own list of keys, one token after the other."""

    def seen(i):
        segment = segments[i]
        own = [(segment.first + j, key[starts[i] + j], value[starts[i] + j]) for j in range(len(segment.ids))]
        if segment.past is not None:
            before = [(j, segment.past[0, 0, :, j], segment.past[0, 1, :, j]) for j in range(segment.first)]
        else:
            before = [] if segment.parent is None else seen(segment.parent)
        return before + own

    rows = []
    for i, segment in enumerate(segments):
        for j in range(len(segment.ids)):
            at = segment.first + j
            mine = [(k, v) for p, k, v in seen(i) if p <= at and (terms.window is None or p > at - terms.window)]
            keys = torch.stack([k for k, _ in mine]).repeat_interleave(HEADS // KEY_HEADS, dim=1)  # [S, heads, D]
            values = torch.stack([v for _, v in mine]).repeat_interleave(HEADS // KEY_HEADS, dim=1)
            scores = (keys * query[starts[i] + j]).sum(-1) * terms.scaling
            if terms.sinks is not None:
                scores = torch.cat([scores, terms.sinks[None]])
            weights = scores.softmax(0)[: len(mine)]
            rows.append((weights[:, :, None] * values).sum(0))
    return torch.stack(rows)


@pytest.mark.parametrize("window", [None, 7, 40])
@pytest.mark.parametrize("sinks", [False, True])
@settings(max_examples=15)
@given(segments=trees())
def test_attention_and_gradients_are_those_of_each_token_alone(window, sinks, segments):
    pack = Pack(segments)
    generator = torch.Generator().manual_seed(1)
    shapes = [(HEADS, D), (KEY_HEADS, D), (KEY_HEADS, D)]
    tensors = [torch.randn(len(pack.ids), *shape, dtype=torch.float64, generator=generator) for shape in shapes]
    terms = AttentionTerms(0, 0.4, window, torch.randn(HEADS, generator=generator).double() if sinks else None)
    found = []
    for way in (pack.attend, lambda *given: naive(segments, pack.starts, *given)):
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        out = way(*leaves, terms)
        (out * torch.arange(D)).sum().backward()
        found.append([out.detach(), *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [None, 30])
def test_long_rows_behind_a_shared_start_are_attended_in_causal_order(window, monkeypatch):
    monkeypatch.setattr("clinprompt.backbones.pack.SHORT", 60)
    segments = [Segment([0] * 20), *(Segment([0] * size, first=20, parent=0) for size in (50, 47, 45, 9))]
    pack = Pack(segments)
    assert sorted((group.causal, tuple(group.query.shape)) for group in pack.groups) == [
        (False, (1, 9)),
        (True, (1, 20)),
        (True, (3, 70)),
    ]
    generator = torch.Generator().manual_seed(1)
    shapes = [(HEADS, D), (KEY_HEADS, D), (KEY_HEADS, D)]
    tensors = [torch.randn(len(pack.ids), *shape, dtype=torch.float64, generator=generator) for shape in shapes]
    terms = AttentionTerms(0, 0.4, window, None)
    expected = naive(segments, pack.starts, *tensors, terms)
    torch.testing.assert_close(pack.attend(*tensors, terms), expected, rtol=1e-9, atol=1e-9)


def test_what_follows_kept_states_cannot_be_followed():
    past = torch.zeros(1, 2, KEY_HEADS, 3, D)
    with pytest.raises(ValueError, match="segment 1"):
        Pack([Segment([1], first=3, past=past), Segment([1], first=4, parent=0)])


def test_a_token_run_stands_once_however_many_follow_it():
    segments = [Segment([1] * 5, slots=[(0, 3)]), *(Segment([2] * 2, first=5, parent=0) for _ in range(9))]
    pack = Pack(segments)
    assert len(pack.ids) == 5 + 9 * 2 and pack.starts[-1] == 23
    assert pack.positions.tolist() == [0, 1, 2, 3, 4] + [5, 6] * 9
    assert (pack.slot.tolist(), pack.slot_vector.tolist()) == ([0], [3])


def test_sharers_of_a_past_store_it_once():
    past = torch.zeros(1, 2, KEY_HEADS, 30, D)
    pack = Pack([Segment([1] * (i + 1), first=30, past=past) for i in range(12)])
    [group] = pack.groups
    assert group.trunk(0, None).key.shape == (1, KEY_HEADS, 30, D)
    assert group.query.shape == (12, 12)
