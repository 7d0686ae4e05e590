"""How many earlier examples are practised beside corrections."""

from __future__ import annotations

import pytest

from clinprompt.schema.example import Answer, Example, Split
from clinprompt.stages.replay import with_replay


def examples(name, count):
    return [Example(f"{name}{n}", {"note": f"{name}{n}"}, Answer(), f"{name}{n}") for n in range(count)]


@pytest.mark.parametrize(("share", "count"), [(0.5, 4), (0.25, 1), (0.8, 16), (0.1, 1), (0.001, 1)])
def test_the_share_is_kept_and_one_example_is_there_at_least(share, count):
    divided = [(Split.train, one) for one in examples("own", 4)] + [(Split.dev, one) for one in examples("dev", 2)]
    made = with_replay(divided, examples("old", 3), share=share)
    assert made[:6] == divided and [split for split, _ in made[6:]] == [Split.train] * count
    assert len({one.id for _, one in made}) == len(made)
    assert with_replay(divided, [], share=share) == divided
