"""A run that is killed without warning, again and again, ends with the same bytes as one that is not."""

from __future__ import annotations

import functools
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clinprompt.backbones.protocol import Placement, Row
from clinprompt.maths.decomposition import neutral_factors
from clinprompt.maths.mixture import mixing_probabilities
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member, Mixture
from clinprompt.training.objectives import Distillation
from tests.zygote import progress, zygote

P, H, STEPS = 4, 32, 40
HERE = "tests.training.test_resume"


@functools.cache
def backbone(folder: str):
    from tests.made_backbones import tiny_backbone

    return tiny_backbone(Path(folder), dtype="float32")


def rows(count: int, seed: int) -> list[Row]:
    chance = random.Random(seed)

    def tokens(least: int, most: int) -> tuple[int, ...]:
        return tuple(chance.choices(range(10, 200), k=chance.randint(least, most)))

    return [Row(f"row {i}", tokens(3, 40), tokens(1, 3), (*tokens(1, 6), 2)) for i in range(count)]


def starts(count: int) -> torch.Tensor:
    return torch.randn(count, P, H, generator=torch.Generator().manual_seed(count)) * 0.2


def free(placement: Placement) -> tuple[PlainPrompts, dict]:
    """A gang of free prompts, two of which keep their best step and one of these loses patience."""
    members = [
        Member(name, rows(7, i), steps=STEPS - i, batch=3, seed=i, rates={"prompt": 0.05}, dev=rows(3, 9) if i else ())
        for i, name in enumerate("abc")
    ]
    members[2] = replace(members[2], patience=1)
    return PlainPrompts(starts(3)), {"members": members, "placement": placement, "dev_every": 7}


def joint(placement: Placement) -> tuple[DecomposedPrompts, dict]:
    """A shared metaprompt with teachers and drawn tasks."""
    rates = {"metaprompt": 0.05, "rows": 0.02, "cols": 0.03}
    members = [Member(name, rows(5, i), steps=STEPS, batch=2, seed=i, rates=rates) for i, name in enumerate("abc")]
    source = DecomposedPrompts(starts(1)[0], [neutral_factors(P, H, 2, seed=i) for i in range(3)], shared=True)
    mixture = Mixture(mixing_probabilities([5, 5, 5], mixing="uniform"), batch=4, seed=5)
    teaching = Distillation(list(starts(3)), placement, weights=[0.7, 0.0, 0.4], temperature=2.0)
    return source, {"members": members, "placement": placement, "mixture": mixture, "distillation": teaching}


CASES = {"free": free, "joint": joint}


def work(folder: str, case: str, placement: str, checkpoint: str, out: str) -> None:
    """Train to the end and write the bytes of all parameters."""
    from clinprompt.training.loop import train

    source, arguments = CASES[case](Placement(placement))
    train(
        backbone(folder), source, **arguments, checkpoint=Path(checkpoint), save_every=0.0,
        tokens_per_forward=150, watch=lambda report: os.write(progress(), b"."),
    )  # fmt: skip
    Path(out).write_bytes(b"".join(group.tensor.detach().numpy().tobytes() for group in source.groups()))


@pytest.mark.parametrize(
    ("case", "placement", "kills"), [("free", "suffix", 8), ("joint", "suffix", 6), ("free", "prefix", 5)]
)
def test_the_bytes_are_those_of_an_uninterrupted_run(case, placement, kills, tmp_path):
    arguments = {"folder": str(tmp_path.parent / "tiny"), "case": case, "placement": placement}
    zygote().warm(f"{HERE}:backbone", folder=arguments["folder"])

    def start(name: str):
        paths = {"checkpoint": str(tmp_path / f"{name}.safetensors"), "out": str(tmp_path / f"{name}.bytes")}
        return zygote().fork(tmp_path / name, f"{HERE}:work", **arguments, **paths)

    straight = start("straight")
    assert zygote().wait(straight) == 0, straight.said
    chance = random.Random(kills)
    steps = saved = 0
    for _ in range(kills):
        worker = start("killed")
        wanted = chance.randint(1, 3)
        assert worker.reached(wanted), worker.said
        saved += wanted - 1  # a step is told of before it is saved, so the one before it has been
        time.sleep(chance.uniform(0, 0.012))
        worker.kill()
        assert zygote().wait(worker) == -9, worker.said
        steps += worker.steps
    assert not (tmp_path / "killed.bytes").exists()
    last = start("killed")
    assert zygote().wait(last) == 0, last.said
    assert saved > kills // 2 and last.steps <= STEPS - saved  # it went on, rather than began anew
    assert steps + last.steps >= STEPS
    assert (tmp_path / "killed.bytes").read_bytes() == (tmp_path / "straight.bytes").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "killed.safetensors",
        "straight.safetensors",
    ]
