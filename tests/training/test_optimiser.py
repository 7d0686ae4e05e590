import pytest
import torch

from clinprompt.prompts.source import ParameterGroup
from clinprompt.training.optimiser import GangAdamW


def loss_of(values, target):
    return (values - target).pow(4).sum()


@pytest.mark.parametrize("weight_decay, shape", [(0.0, (4, 5)), (0.1, (4, 5)), (0.1, ())])
def test_each_member_moves_as_under_torch_adamw_with_clipping(weight_decay, shape):
    torch.manual_seed(0)
    N, steps = 3, 12
    start, target = torch.randn(N, *shape), torch.randn(N, *shape)
    rates, clips = torch.tensor([0.1, 0.03, 0.3]), torch.tensor([0.5, 1e9, 2.0])
    values = start.clone().requires_grad_()
    group = ParameterGroup("prompt", values, per_member=True)
    gang = GangAdamW([group], n_members=N, weight_decay=weight_decay)
    for _ in range(steps):
        loss_of(values, target).backward()
        gang.step({"prompt": rates}, active=torch.ones(N, dtype=torch.bool), clip=clips)
    for n in range(N):
        alone = start[n].clone().requires_grad_()
        adam = torch.optim.AdamW([alone], lr=float(rates[n]), betas=(0.9, 0.98), weight_decay=weight_decay)
        for _ in range(steps):
            adam.zero_grad()
            loss_of(alone, target[n]).backward()
            torch.nn.utils.clip_grad_norm_([alone], float(clips[n]))
            adam.step()
        torch.testing.assert_close(values[n].detach(), alone.detach(), rtol=1e-5, atol=1e-6)


def test_shared_groups_move_as_under_torch_adamw():
    torch.manual_seed(0)
    start, target = [torch.randn(3, 2), torch.randn(4)], [torch.randn(3, 2), torch.randn(4)]
    ours = [x.clone().requires_grad_() for x in start]
    theirs = [x.clone().requires_grad_() for x in start]
    groups = [ParameterGroup(str(i), x, per_member=False) for i, x in enumerate(ours)]
    gang = GangAdamW(groups, n_members=1)
    adam = torch.optim.AdamW(theirs, lr=0.05, betas=(0.9, 0.98), weight_decay=0.0)
    for _ in range(10):
        sum(loss_of(x, t) for x, t in zip(ours, target, strict=True)).backward()
        rate = torch.tensor(0.05)
        gang.step({"0": rate, "1": rate}, active=torch.tensor([True]), clip=torch.tensor([1.0]))
        adam.zero_grad()
        sum(loss_of(x, t) for x, t in zip(theirs, target, strict=True)).backward()
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        adam.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-5, atol=1e-6)


def test_an_inactive_member_keeps_everything():
    values = torch.ones(2, 3).requires_grad_()
    gang = GangAdamW([ParameterGroup("prompt", values, per_member=True)], n_members=2)
    values.sum().backward()
    rates = {"prompt": torch.tensor([0.1, 0.1])}
    gang.step(rates, active=torch.tensor([True, False]), clip=torch.tensor([9.0, 9.0]))
    assert torch.equal(values[1].detach(), torch.ones(3))
    assert not torch.equal(values[0].detach(), torch.ones(3))
    assert gang.steps.tolist() == [1, 0]
    assert values.grad is None
