"""Writers that are killed and writers that meet, while a reader reads."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.prompts.bank import PromptBank
from tests.zygote import ended, progress, zygote

KILLS, WRITERS, ADDED = 6, 3, 4


def churn(folder: str, files: list[str], seed: int) -> None:
    """Change a bank in every way without end."""
    bank, chance = PromptBank(Path(folder)), random.Random(seed)
    changes = (
        lambda: bank.replace("medications", Path(chance.choice(files))),
        lambda: bank.add([Path(file) for file in chance.sample(files, 2)], name="medications"),
        lambda: bank.promote(bank.listed()[-1].reference),
        lambda: bank.rollback("medications"),
        lambda: [bank.remove(old.reference) for old in bank.listed()[:-2] if not old.promoted],
    )
    while True:
        for change in changes:
            os.write(progress(), b".")
            with suppress(InputError):  # nothing to roll back to
                change()


def add_some(folder: str, files: list[str], name: str) -> None:
    """Add prompts one by one, under a name of its own and under one that others use."""
    bank = PromptBank(Path(folder))
    for file in files:
        bank.add([Path(file)], name=name)
        bank.add([Path(file)], name="shared")


@pytest.fixture
def files(prompt_file):
    return [str(prompt_file(plus=float(number))) for number in range(ADDED)]


def test_a_reader_sees_whole_prompts_while_writers_are_killed(tmp_path, files, vectors):
    bank, chance = PromptBank(tmp_path / "bank"), random.Random(1)
    bank.add([Path(files[0])])
    reads, seen, unnamed = 0, set(), 0
    for kill in range(KILLS):
        worker = zygote().fork(
            tmp_path / f"writer-{kill}", "tests.prompts.test_bank_writers:churn",
            folder=str(bank.folder), files=files, seed=kill,
        )  # fmt: skip
        until = None
        while until is None or time.monotonic() < until:
            prompt = bank.open("medications")
            plus = prompt.vectors - vectors
            assert torch.equal(prompt.vectors, vectors + round(float(plus[0, 0])))  # of one file, not of two
            reads += 1
            seen.add(prompt.card.version)
            assert not ended(worker.pid), worker.said
            if until is None and worker.steps > 0:
                until = time.monotonic() + chance.uniform(0.02, 0.5)
        worker.kill()
        assert zygote().wait(worker) == -9
        differences = bank.verify()
        assert {one.kind for one in differences} <= {"extra"}, differences
        unnamed += len(differences)
        for one in bank.listed():
            assert torch.isfinite(bank.open(one.reference).vectors).all()
        for one in differences:  # as `clinprompt bank verify` tells its user to
            (bank.folder / one.file).unlink()
    bank.replace("medications", Path(files[0]))
    assert bank.verify() == []
    assert reads > KILLS and len(seen) > KILLS // 2 and unnamed <= 2 * KILLS


def test_nothing_is_lost_when_writers_meet(tmp_path, files):
    folder = tmp_path / "bank"
    workers = [
        zygote().fork(
            tmp_path / f"writer-{number}", "tests.prompts.test_bank_writers:add_some",
            folder=str(folder), files=files, name=f"own-{number}",
        )
        for number in range(WRITERS)
    ]  # fmt: skip
    assert [(zygote().wait(worker), worker.said) for worker in workers] == [(0, "")] * WRITERS
    bank = PromptBank(folder)
    assert bank.verify() == [] and bank.manifest.revision == 2 * WRITERS * ADDED
    held = {name: sorted(entry.versions) for name, entry in bank.manifest.prompts.items()}
    own = {f"own-{number}": list(range(1, ADDED + 1)) for number in range(WRITERS)}
    assert held == own | {"shared": list(range(1, WRITERS * ADDED + 1))}
