import torch

from clinprompt.prompts.plain import PlainPrompts


def test_rows_get_their_own_members_prompt_and_give_it_their_gradient():
    start = torch.randn(3, 2, 4)
    prompts = PlainPrompts(start)
    found = prompts.vectors(torch.tensor([2, 0, 2]))
    assert torch.equal(found, start[[2, 0, 2]])
    found.sum().backward()
    [group] = prompts.groups()
    assert (group.name, group.per_member) == ("prompt", True)
    assert group.tensor.grad[:, 0, 0].tolist() == [1, 0, 2]


def test_start_and_finished_prompts_are_copies():
    start = torch.zeros(1, 2, 4)
    prompts = PlainPrompts(start)
    with torch.no_grad():
        prompts.values += 1
    [folded] = prompts.folded()
    assert not start.any() and folded.eq(1).all() and not folded.requires_grad
    folded += 1
    assert prompts.values.eq(1).all()


def test_prompts_of_different_lengths_come_back_in_their_own():
    starts = [torch.randn(length, 4) for length in (2, 5, 1)]
    prompts = PlainPrompts(starts)
    assert prompts.lengths == (2, 5, 1) and prompts.n_members == 3
    found = prompts.vectors(torch.tensor([2, 1]))
    assert found.shape == (2, 5, 4) and not found[0, 1:].any()
    for folded, start in zip(prompts.folded(), starts, strict=True):
        assert torch.equal(folded, start)
    assert [prompts.trainable(n) for n in range(3)] == [8, 20, 4]
