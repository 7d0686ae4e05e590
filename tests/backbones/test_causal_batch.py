import pytest
import torch

from clinprompt.backbones.causal_batch import collate
from clinprompt.backbones.protocol import BESIDE_WRITING, Placement, PromptVectors, Row

ROWS = [Row("a", (10, 11), (5,), (20, 21, 2)), Row("b", (30,), (5, 6), (2,))]


def laid(rows=ROWS, *, length=0, placement=Placement.suffix, with_answers=True, bos=1, **shared):
    prompts = PromptVectors(torch.zeros(len(rows), length, 3), placement, **shared) if length else None
    return collate(rows, prompts, bos=bos, pad=0, with_answers=with_answers)


def slots(batch, b):
    return batch.slot_column[batch.slot_row == b].tolist()


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
    "placement, with_answers, expected",
    [
        (Placement.prefix, True, [[0, 1], [0, 1]]),
        (Placement.suffix, True, [[3, 4], [2, 3]]),
        (Placement.both, True, [[0, 4], [0, 3]]),
        (Placement.prefix, False, [[0, 1], [0, 1]]),
        (Placement.suffix, False, [[3, 4], [2, 3]]),
        (Placement.both, False, [[0, 4], [0, 3]]),
    ],
)
def test_slots_are_where_the_prompt_stands(placement, with_answers, expected):
    batch = laid(length=2, placement=placement, with_answers=with_answers)
    assert [slots(batch, b) for b in range(2)] == expected
    assert batch.slot_vector.tolist() == [0, 1, 2, 3]
    for b, row in enumerate(ROWS):
        kept = torch.ones_like(batch.ids[b], dtype=torch.bool)
        kept[slots(batch, b)] = False
        ids = batch.ids[b][kept & batch.mask[b].bool()].tolist()
        assert ids == [1, *row.context, *row.cue, *(row.answer[:-1] if with_answers else ())]
        assert batch.mask[b][~kept].all()  # prompt vectors are attended to


def test_left_padding_moves_the_slots_along():
    rows = [ROWS[0], Row("b", (), (6,), (2,))]
    batch = laid(rows, length=2, with_answers=False)
    assert batch.ids.shape == (2, 6) and [slots(batch, b) for b in range(2)] == [[3, 4], [3, 4]]
    batch = laid(rows, length=2, placement=Placement.prefix, with_answers=False)
    assert [slots(batch, b) for b in range(2)] == [[0, 1], [2, 3]]


def test_rows_can_share_a_prompt_and_prompts_can_differ_in_length():
    batch = laid(length=4, placement=Placement.prefix, owner=(1, 1), lengths=(4, 3))
    assert [slots(batch, b) for b in range(2)] == [[0, 1, 2]] * 2
    assert batch.slot_vector.tolist() == [4, 5, 6] * 2


@pytest.mark.parametrize("placement", BESIDE_WRITING)
def test_no_padding_stands_between_a_prompt_and_its_text(placement):
    for with_answers in (True, False):
        batch = laid(length=3, placement=placement, with_answers=with_answers)
        for line in batch.mask.tolist():
            assert "".join(map(str, line)).strip("0") == "1" * sum(line)


def test_a_backbone_without_bos_has_none():
    assert laid(bos=None).ids[0, 0] == 10
