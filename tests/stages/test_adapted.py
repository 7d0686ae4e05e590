from dataclasses import replace

import pytest
import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.schema.example import Split
from clinprompt.stages.adapted import Adapted, applied, cell_key, open_adapted, plan_cells, read_adapted, write_adapted
from clinprompt.stages.cards import metaprompt_card, prompt_card
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepared import open_prepared
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    import_data(write_notes(folder / "notes"), folder / "out", name="drugs", reader="brat")
    return open_prepared(folder / "out")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("tiny")))))


@pytest.fixture
def prompt(opened, prepared):
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    card = prompt_card(
        opened, prepared, method="mpt", vectors=vectors, placement="prefix", trainable=7, run="r", seed=4, shots=5
    )
    return SoftPrompt(vectors, card)


def test_every_shot_count_has_its_draws_and_none_or_all_has_one(prepared):
    plans = plan_cells([prepared], shots=(0, 2, "full"), draws=range(3), seed=1)
    assert [plan.cell.name for plan in plans] == [
        "drugs/k0-d0", "drugs/k2-d0", "drugs/k2-d1", "drugs/k2-d2", "drugs/full",
    ]  # fmt: skip
    train = prepared.part(Split.train)
    sizes = [len(plan.cell.train) for plan in plans]
    assert sizes == [0, 2, 2, 2, len(train)]
    drawn = [tuple(example.id for example in plan.cell.train) for plan in plans[1:4]]
    assert len(set(drawn)) > 1
    again = plan_cells([prepared], shots=(2,), draws=range(3), seed=99)  # another seed of training, the same shots
    assert [tuple(example.id for example in plan.cell.train) for plan in again] == drawn
    later = plan_cells([prepared], shots=(2, "full"), draws=range(1, 3), seed=1)
    assert [plan.cell.name for plan in later] == ["drugs/k2-d1", "drugs/k2-d2", "drugs/full"]
    assert [tuple(example.id for example in plan.cell.train) for plan in later[:2]] == drawn[1:]


def test_a_cell_with_more_shots_than_examples_has_none_and_says_why(prepared):
    enough, lacking = plan_cells([prepared], shots=(2, 99), draws=range(1), seed=1)
    assert enough.undrawn is None and len(enough.cell.train) == 2
    assert "99 shots cannot be drawn" in str(lacking.undrawn) and not lacking.cell.train
    lost = lacking.lost(lacking.undrawn, seed=1, method="mpt")
    assert lost.undrawn and "99 shots" in lost.failed
    assert not lacking.lost(InputError("diverged"), seed=1, method="mpt").undrawn


def test_the_list_of_cells_comes_back(tmp_path):
    cells = [
        Adapted(
            "a", "5", 1, 2, "mpt", 100, rate=0.3, loss=0.1, dev_loss=None, train_examples=5, factors="mean", file="x"
        ),
        Adapted("b", "full", 0, 2, "instruction", 0),
    ]
    write_adapted(tmp_path, cells)
    assert read_adapted(tmp_path) == cells
    assert [cell.key for cell in cells] == [cell_key("a", "5", 1), "b/full"]


def test_a_prompt_file_alone_is_one_cell(tmp_path, prompt, opened):
    save_prompt(tmp_path / "p.safetensors", prompt)
    folder, [cell] = open_adapted(tmp_path / "p.safetensors", opened.identity)
    assert folder == tmp_path
    assert cell == Adapted("drugs", "5", 0, 4, "mpt", 7, file="p.safetensors")


def test_other_files_and_folders_are_refused(tmp_path, opened, prepared):
    with pytest.raises(InputError, match="neither a prompt file nor a run"):
        open_adapted(tmp_path, opened.identity)
    with pytest.raises(InputError, match="neither a prompt file nor a run"):
        open_adapted(tmp_path / "nothing", opened.identity)
    vectors = torch.randn(3, 32)
    card = metaprompt_card(
        opened, [prepared], vectors=vectors, placement="suffix", rank=1, trainable=1, run="r", seed=1
    )
    save_prompt(tmp_path / "m.safetensors", SoftPrompt(vectors, card))
    with pytest.raises(InputError, match="a metaprompt, not a task's prompt"):
        open_adapted(tmp_path / "m.safetensors", opened.identity)


def test_a_prompt_is_applied_with_its_own_placement(tmp_path, prompt, opened):
    save_prompt(tmp_path / "p.safetensors", prompt)
    cell = Adapted("drugs", "5", 0, 4, "mpt", 7, file="p.safetensors")
    with applied(opened, tmp_path, cell) as given:
        assert torch.equal(given.vectors, prompt.vectors) and given.placement is Placement.prefix
    with applied(opened, tmp_path, replace(cell, file="")) as given:
        assert given.vectors is None


def test_a_prompt_that_has_gone_silent_is_not_scored(tmp_path, prompt, opened, monkeypatch):
    save_prompt(tmp_path / "p.safetensors", prompt)
    true = type(opened.backbone).forward
    monkeypatch.setattr(type(opened.backbone), "forward", lambda self, rows, prompts, **more: true(self, rows, None))
    with (
        pytest.raises(InputError, match="no effect"),
        applied(opened, tmp_path, Adapted("drugs", "5", 0, 4, "mpt", 7, file="p.safetensors")),
    ):
        pass
