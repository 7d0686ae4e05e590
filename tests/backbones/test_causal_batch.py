import pytest
import torch

from clinprompt.backbones.causal_batch import collate, place
from clinprompt.backbones.protocol import Placement, Row

ROWS = [Row("a", (10, 11), (5,), (20, 21, 2)), Row("b", (30,), (5, 6), (2,))]


def laid(rows=ROWS, **options):
    given = dict(prompt_length=0, placement=Placement.suffix, bos=1, pad=0, with_answers=True) | options
    return collate(rows, **given)


def test_training_pads_on_the_right_and_the_last_answer_token_is_only_a_target():
    batch = laid()
    assert batch.ids.tolist() == [[1, 10, 11, 5, 20, 21], [1, 30, 5, 6, 0, 0]]
    assert batch.mask.tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]
    assert batch.positions[:, :4].tolist() == [[0, 1, 2, 3]] * 2
    assert batch.answer_row.tolist() == [0, 0, 0, 1]
    assert batch.answer_column.tolist() == [3, 4, 5, 3]
    assert batch.targets.tolist() == [20, 21, 2, 2]


def test_generation_pads_on_the_left_and_positions_do_not_count_padding():
    batch = laid([ROWS[0], Row("b", (), (6,), (2,))], with_answers=False)
    assert batch.ids.tolist() == [[1, 10, 11, 5], [0, 0, 1, 6]]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert batch.targets.numel() == batch.answer_row.numel() == 0


@pytest.mark.parametrize(
    "placement, with_answers, slots",
    [
        (Placement.prefix, True, [0, 0]),
        (Placement.suffix, True, [3, 2]),
        (Placement.prefix, False, [0, 0]),
        (Placement.suffix, False, [3, 2]),
    ],
)
def test_slots_are_where_the_prompt_stands(placement, with_answers, slots):
    batch = laid(prompt_length=2, placement=placement, with_answers=with_answers)
    assert batch.slots.tolist() == slots
    for b, row in enumerate(ROWS):
        kept = torch.ones_like(batch.ids[b], dtype=torch.bool)
        kept[batch.slots[b] : batch.slots[b] + 2] = False
        ids = batch.ids[b][kept & batch.mask[b].bool()].tolist()
        assert ids == [1, *row.context, *row.cue, *(row.answer[:-1] if with_answers else ())]
        assert batch.mask[b][~kept].all()  # prompt vectors are attended to


def test_left_padding_moves_the_slot_along():
    rows = [ROWS[0], Row("b", (), (6,), (2,))]
    batch = laid(rows, prompt_length=2, with_answers=False)
    assert batch.ids.shape == (2, 6) and batch.slots.tolist() == [3, 3]
    assert laid(rows, prompt_length=2, placement=Placement.prefix, with_answers=False).slots.tolist() == [0, 2]


def test_no_padding_stands_between_a_prompt_and_its_text():
    for placement in Placement:
        for with_answers in (True, False):
            batch = laid(prompt_length=3, placement=placement, with_answers=with_answers)
            for line in batch.mask.tolist():
                assert "".join(map(str, line)).strip("0") == "1" * sum(line)


def test_a_backbone_without_bos_has_none():
    assert laid(bos=None).ids[0, 0] == 10


def test_place_writes_each_rows_vectors_at_its_slot_and_both_get_their_gradients():
    embeds = torch.zeros(2, 4, 3, dtype=torch.float64, requires_grad=True)
    vectors = torch.ones(2, 2, 3, requires_grad=True)
    placed = place(embeds, vectors, torch.tensor([0, 2]))
    assert placed.dtype is torch.float64
    assert placed.sum(-1).tolist() == [[3, 3, 0, 0], [0, 0, 3, 3]]
    placed.sum().backward()
    assert vectors.grad.eq(1).all()
    assert embeds.grad.sum(-1).tolist() == [[0, 0, 3, 3], [3, 3, 0, 0]]
