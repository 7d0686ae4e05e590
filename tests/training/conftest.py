import random

import pytest
import torch

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.formulated import Piece, TextPair


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory):
    """A random Llama of 3 layers and width 32 in float64, so that equalities are not blurred by rounding."""
    torch.set_num_threads(1)
    return load_backbone(str(write_tiny(tmp_path_factory.mktemp("tiny"))), dtype="float64")


@pytest.fixture(scope="session")
def make_rows(tiny_backbone):
    def rows(count, *, seed=0):
        chance = random.Random(seed)
        made = []
        for i in range(count):
            note = "".join(chance.choice("abcdef ") for _ in range(chance.randint(3, 30)))
            pair = TextPair(
                context=(Piece("<note>", trusted=True), Piece(note)),
                cue=(Piece("<ans>", trusted=True),),
                answer=" " + "".join(chance.choice("xyz") for _ in range(chance.randint(1, 6))),
            )
            made.append(tiny_backbone.encode(pair, name=f"row {i}", reserve=8))
        return made

    return rows
