import pytest
import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.prompts.headed import Headed
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.source import ParameterGroup
from clinprompt.training.gang import batch_prompts
from tests.fake_encoder import H, some_heads


def made(n=3, prompts=True):
    return Headed(PlainPrompts(torch.randn(n, 4, H)) if prompts else None, some_heads(n))


def test_every_row_gets_the_heads_of_its_own_member():
    source = made()
    found = batch_prompts(source, [2, 0, 2, 2], Placement.prefix)
    assert found.owner == (1, 0, 1, 1)
    for row, n in enumerate((2, 0, 2, 2)):
        for name, tensor in found.heads.items():
            assert torch.equal(tensor[found.owner[row]], source.scorers[name][n])
        assert torch.equal(found.vectors[found.owner[row]], source.prompts.values[n])


def test_only_a_members_own_heads_get_its_gradient():
    source = made()
    found = batch_prompts(source, [1, 1], Placement.prefix)
    sum(tensor.sum() for tensor in found.heads.values()).backward()
    for name, tensor in source.scorers.items():
        assert tensor.grad.reshape(3, -1).ne(0).any(dim=1).tolist() == [False, True, False], name


def test_without_prompts_there_are_heads_and_no_vectors():
    source = made(prompts=False)
    found = batch_prompts(source, [0, 2], Placement.prefix)
    assert found.vectors.shape == (2, 0, H) and found.lengths == (0, 0)
    assert torch.equal(found.heads["edges"][1], source.scorers["edges"][2])
    assert [vectors.shape for vectors in source.folded()] == [(0, H)] * 3
    assert [group.name for group in source.groups()] == [f"head/{name}" for name in some_heads(1)]


def test_finished_heads_and_what_was_given_are_copies():
    heads = some_heads(2)
    before = heads["edges"].clone()
    source = Headed(None, heads)
    folded = source.folded_heads(1)
    assert torch.equal(folded["edges"], before[1]) and not folded["edges"].requires_grad
    with torch.no_grad():
        source.scorers["edges"] += 1
    assert torch.equal(heads["edges"], before) and torch.equal(folded["edges"], before[1])
    assert folded["match_out_bias"].shape == ()


def test_all_that_trains_is_named_and_counted():
    weight = torch.zeros(5, 2, requires_grad=True)
    weights = [ParameterGroup("layers.0.own", weight, per_member=False)]
    source = Headed(PlainPrompts(torch.randn(1, 4, H)), some_heads(1), weights)
    names = [group.name for group in source.groups()]
    assert names == ["prompt", *(f"head/{name}" for name in some_heads(1)), "layers.0.own"]
    assert source.trainable(0) == 4 * H + sum(tensor.numel() for tensor in some_heads(1).values()) + 10
    assert len(source.folded()) == 1 and source.lengths == (4,)


def test_members_who_do_not_fit_together_are_refused():
    weights = [ParameterGroup("weight", torch.zeros(2), per_member=False)]
    with pytest.raises(ValueError, match=r"different numbers of members: \[2, 3\]"):
        Headed(PlainPrompts(torch.randn(2, 4, H)), some_heads(3))
    with pytest.raises(ValueError, match="different numbers of members"):
        Headed(None, some_heads(3) | {"edge_bias": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="cannot train one backbone"):
        Headed(None, some_heads(2), weights)
    with pytest.raises(ValueError, match="one name: weight"):
        Headed(None, some_heads(1), weights * 2)
