import math

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.schema.example import Split
from clinprompt.stages.cells import Cell, candidates, dev_every, measured, rms, starts, winners
from clinprompt.stages.configs import BackboneSettings, PrepareSettings
from clinprompt.stages.methods import Budget
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepare import prepare
from clinprompt.stages.prepared import open_prepared
from clinprompt.training.outcome import TrainingResult
from tests.made_backbones import tiny_folder


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("tiny")))))


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    found = []
    for name in ("medications", "lab-flag"):
        limits = {"train": 4, "dev": 3, "test": 1}
        run = prepare(PrepareSettings(task=name, limits=limits), runs=tmp_path_factory.mktemp("runs"))
        item = open_prepared(run.path)
        found.append(Cell(name, item.task, item.part(Split.train), item.part(Split.dev), 1))
    return found


def made(opened, cells, **budget):
    return candidates(opened, cells, Budget(**budget), reserve=8, rates=lambda i, rate: {"prompt": rate * (i + 1)})


def test_a_member_per_cell_and_rate_with_the_same_rows_in_the_same_order(opened, cells):
    members = made(opened, cells, rates=(0.1, 0.3), dev_limit=2, warmup=50, steps=7)
    assert [member.name for member in members] == ["medications@0.1", "medications@0.3", "lab-flag@0.1", "lab-flag@0.3"]
    assert [dict(member.rates)["prompt"] for member in members] == [0.1, 0.3, 0.2, 0.6]
    assert members[0].rows == members[1].rows and members[0].seed == members[1].seed != members[2].seed
    assert [len(member.dev) for member in members] == [2] * 4
    assert {member.warmup for member in members} == {7}
    assert [row.name for row in members[0].rows] == [example.id for example in cells[0].train]


def test_dev_rows_are_read_only_where_something_is_to_be_chosen(opened, cells):
    assert not made(opened, cells)[0].dev
    assert made(opened, cells, keep="best")[0].dev
    bare = [Cell("a", cells[0].task, cells[0].train, (), 1)]
    with pytest.raises(InputError, match="no dev part"):
        made(opened, bare, keep="best")
    assert len(made(opened, bare)) == 1


def test_dev_losses_are_taken_at_the_end_or_now_and_then():
    assert dev_every(Budget(steps=40, dev_every=10)) == 40
    assert dev_every(Budget(steps=40, dev_every=10, keep="best")) == 10


def test_the_lowest_dev_loss_wins_and_diverged_members_never_do(opened, cells):
    budget = Budget(rates=(0.1, 0.2, 0.3))
    members = made(opened, cells, rates=budget.rates)
    losses = dict(zip([member.name for member in members], (2.0, 1.0, 0.5, math.nan, 3.0, 4.0), strict=True))
    result = TrainingResult(dev_losses=losses, diverged=["medications@0.3"])
    assert winners(members, budget, result) == [1, 4]
    result.diverged = [member.name for member in members[:3]]
    with pytest.raises(InputError, match="diverged with every learning rate") as caught:
        winners(members, budget, result)
    assert "medications" in str(caught.value) and "0.1, 0.2, 0.3" in str(caught.value)


def test_a_loss_that_was_never_measured_is_none():
    assert [measured(loss) for loss in (None, math.nan, 0.0, 2.5)] == [None, None, 0.0, 2.5]


def test_prompts_start_from_the_tasks_words_or_from_tokens_by_seed(opened, cells):
    table = opened.backbone.embeddings.float()
    words = starts(opened, cells, start="text", length=6)
    expected = opened.backbone.tokenizer.encode(" " + cells[1].task.instruction, add_special_tokens=False)[:6]
    assert torch.equal(words[1], table[expected])
    drawn = starts(opened, cells, start="vocabulary", length=6)
    assert drawn.shape == (2, 6, 32) and not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn, starts(opened, cells, start="vocabulary", length=6))
    assert rms(torch.tensor([3.0, 4.0])) == pytest.approx(math.sqrt(12.5))
