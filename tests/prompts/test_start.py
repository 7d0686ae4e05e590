import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.prompts.start import from_tokens, from_vocabulary

TABLE = torch.arange(40.0).reshape(10, 4).bfloat16()


def places(found):
    return [int(row[0]) // 4 for row in found]


def test_vocabulary_gives_different_tokens_by_seed():
    found = from_vocabulary(TABLE, length=10, seed=1)
    assert found.dtype is torch.float32 and found.shape == (10, 4)
    assert sorted(places(found)) == list(range(10))
    assert torch.equal(found, from_vocabulary(TABLE, length=10, seed=1))
    assert not torch.equal(found, from_vocabulary(TABLE, length=10, seed=2))
    with pytest.raises(InputError, match="11 vectors is longer than the vocabulary of 10"):
        from_vocabulary(TABLE, length=11, seed=1)


@pytest.mark.parametrize("length, expected", [(2, [7, 3]), (3, [7, 3, 5]), (8, [7, 3, 5, 7, 3, 5, 7, 3])])
def test_words_are_cut_or_repeated_to_the_length(length, expected):
    found = from_tokens(TABLE, [7, 3, 5], length=length)
    assert found.dtype is torch.float32 and places(found) == expected
    assert torch.equal(found, TABLE[expected].float())


def test_an_empty_text_is_no_start():
    with pytest.raises(InputError, match="empty text"):
        from_tokens(TABLE, [], length=2)


def test_the_start_is_a_copy_that_training_cannot_write_into_the_table():
    table = torch.zeros(3, 2, requires_grad=True)
    for found in (from_vocabulary(table, length=2, seed=0), from_tokens(table, [1], length=2)):
        found += 1
        assert not found.requires_grad
    assert not table.detach().any()
