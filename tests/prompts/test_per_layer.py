import pytest
import torch
from jaxtyping import TypeCheckError

from clinprompt.prompts.per_layer import PerLayerPrompts


def test_members_of_different_lengths_come_back_in_their_own():
    starts = [torch.randn(3, length, 4) for length in (2, 5)]
    prompts = PerLayerPrompts(starts)
    assert prompts.lengths == (2, 5) and prompts.n_members == 2
    found = prompts.vectors(torch.tensor([1, 0]))
    assert found.shape == (2, 3, 5, 4) and not found[1, :, 2:].any()
    for folded, start in zip(prompts.folded(), starts, strict=True):
        assert torch.equal(folded, start)
    assert [prompts.trainable(n) for n in range(2)] == [3 * 2 * 4, 3 * 5 * 4]
    [group] = prompts.groups()
    assert (group.name, group.per_member) == ("prompt", True)


def test_starts_of_other_shapes_are_refused():
    with pytest.raises((ValueError, TypeCheckError), match=r"L, P, H|L _ H"):
        PerLayerPrompts([torch.zeros(2, 4)])
    with pytest.raises(ValueError, match="one L"):
        PerLayerPrompts([torch.zeros(2, 1, 4), torch.zeros(3, 1, 4)])
