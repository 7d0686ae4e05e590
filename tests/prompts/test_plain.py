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
    folded = prompts.folded()
    assert not start.any() and folded.eq(1).all() and not folded.requires_grad
    folded += 1
    assert prompts.values.eq(1).all()
