"""Several processes make the same steps as one, on whole and on sharded backbones, and notice when one dies."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import BESIDE_WRITING, Placement
from clinprompt.errors import InputError
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.objectives import Distillation
from clinprompt.training.optimiser import GangAdamW
from clinprompt.training.parallel import World, world
from tests.training.test_resume import rows, starts
from tests.zygote import quickly, zygote

HERE = "tests.training.test_parallel"


@functools.cache
def folder(family: str, path: str) -> str:
    from tests.made_backbones import tiny_folder

    return str(tiny_folder(Path(path), family=family))


class StandingStill(GangAdamW):
    """Keeps the gradients of every step and moves nothing."""

    def __init__(self, seen, groups, **options):
        super().__init__(groups, **options)
        self.seen = seen

    def step(self, *_, **__):
        for group in self.groups:
            self.seen.append(group.tensor.grad)
            group.tensor.grad = None


def compare(path: str, family: str, sharded: bool, out: str) -> None:
    """Prompts, losses and dev losses of a whole run, and the gradients of one."""
    from clinprompt.training import loop

    processes = world()
    backbone = load_backbone(path, dtype="float64", sharded=sharded)
    found = {}
    for placement in BESIDE_WRITING:
        # One row of four in the last member: with two processes some steps leave one of them without a row of it.
        members = [
            Member(name, rows(7, i), steps=3, batch=batch, seed=i, rates={"prompt": 0.05}, dev=rows(4, 9 + i))
            for i, (name, batch) in enumerate([("a", 3), ("b", 3), ("c", 1)])
        ]
        teaching = Distillation(list(starts(3)), placement, weights=[0.5, 0.0, 0.7], temperature=2.0)
        arguments = {"placement": placement, "tokens_per_forward": 90, "dev_every": 2}
        source = PlainPrompts(starts(3) + 0.1)
        result = loop.train(backbone, source, members, **arguments, distillation=teaching)
        found[placement.value] = [torch.stack(source.folded()), result.losses, result.dev_losses]

        gradients = []
        kept, loop.GangAdamW = loop.GangAdamW, functools.partial(StandingStill, gradients)
        loop.train(backbone, PlainPrompts(starts(3) + 0.1), members, **arguments)
        loop.GangAdamW = kept
        found[placement.value].append(torch.stack(gradients))
    if processes.leads:
        torch.save(found, out)


@pytest.mark.parametrize(("family", "sharded"), [("llama", False), ("llama", True), ("gpt-oss", True)])
def test_two_processes_make_the_steps_of_one(family, sharded, tmp_path):
    arguments = {"path": folder(family, str(tmp_path.parent / family)), "family": family}
    alone = zygote().fork(tmp_path / "alone", f"{HERE}:compare", **arguments, sharded=False, out=str(tmp_path / "1.pt"))
    assert zygote().wait(alone) == 0, alone.said
    two = zygote().world(
        tmp_path / "two", f"{HERE}:compare", size=2, **arguments, sharded=sharded, out=str(tmp_path / "2.pt")
    )
    for worker in two:
        assert zygote().wait(worker) == 0, worker.said
    one, other = torch.load(tmp_path / "1.pt"), torch.load(tmp_path / "2.pt")
    assert set(one) == {"prefix", "suffix", "both"}
    for placement, (prompts, losses, dev_losses, gradients) in one.items():
        torch.testing.assert_close(other[placement][0], prompts, rtol=1e-5, atol=1e-6)
        assert other[placement][1] == pytest.approx(losses, rel=1e-6)
        assert other[placement][2] == pytest.approx(dev_losses, rel=1e-6)
        # Steps of Adam hide the scale of a gradient, so it is compared too. Norms and angles of the networks are
        # float32 whatever the rest is: nothing here is equal to more than seven digits.
        assert gradients.abs().amax() > 0.01
        torch.testing.assert_close(other[placement][3], gradients, rtol=1e-4, atol=1e-6)


def wait_for_ever() -> None:
    """Join, tell of it, and ask the others for something that they never give."""
    from tests.zygote import progress

    processes = world()
    processes.gather(0)
    os.write(progress(), b".")
    try:
        while processes.gather(1):
            pass
    except InputError as error:
        sys.stderr.write(str(error))
        raise SystemExit(3) from None


def test_the_death_of_a_process_is_told_by_the_others_at_once(tmp_path):
    workers = zygote().world(tmp_path / "three", f"{HERE}:wait_for_ever", size=3)
    assert all(worker.reached(1) for worker in workers), [worker.said for worker in workers]
    workers[2].kill()
    with quickly(10):
        codes = [zygote().wait(worker) for worker in workers]
    assert codes == [3, 3, -9], [worker.said for worker in workers]
    assert "of the 3 of this run has ended" in workers[0].said
    assert "run the same command again" in workers[0].said.casefold()


def test_one_process_alone_needs_nobody():
    alone = world()
    assert alone.leads and alone.size == 1
    assert alone.gather(7) == [7]
    assert alone.share([3, 1, 2], weight=int) == [3, 1, 2]
    assert alone.level([1], idle=0) == [1]


def test_processes_that_see_different_checkpoints_stop(tiny_backbone, make_rows, tmp_path, monkeypatch):
    class Elsewhere(World):
        def gather(self, number):
            return [number, number + 1]

    monkeypatch.setattr("clinprompt.training.loop.world", Elsewhere)
    member = Member("a", make_rows(2), steps=1, batch=1, seed=0, rates={"prompt": 0.1})
    with pytest.raises(InputError, match="same checkpoint"):
        train(
            tiny_backbone,
            PlainPrompts(starts(1)),
            [member],
            placement=Placement.prefix,
            checkpoint=tmp_path / "a.safetensors",
        )


def test_sharding_needs_processes_to_share_with(tmp_path):
    with pytest.raises(InputError, match=r"several processes.*torchrun"):
        load_backbone(folder("llama", str(tmp_path / "tiny")), sharded=True)


@given(st.lists(st.integers(1, 500), max_size=30), st.integers(1, 5))
def test_every_item_is_shared_out_once_and_the_loads_are_even(weights, size):
    items = list(enumerate(weights))
    shares = [World(rank, size).share(items, weight=lambda item: item[1]) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == items
    loads = [sum(weight for _, weight in share) for share in shares]
    assert max(loads) - min(loads) <= max(weights, default=0)
    assert all(share == sorted(share) for share in shares)
