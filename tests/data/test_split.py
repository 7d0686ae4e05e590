from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.split import part_of, split_by_group
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer, Example, Split


def notes(count: int, *, per_group: int = 2) -> list[Document]:
    return [Document(f"n{i}", "Well.", group=f"p{i // per_group}") for i in range(count)]


@given(seed=st.integers(0, 2**63), extra=st.integers(0, 50))
def test_groups_stay_whole_and_in_place(seed, extra):
    dev, test = 0.3, 0.3
    before = split_by_group(notes(120), dev=dev, test=test, seed=seed)
    after = split_by_group(notes(120 + extra), dev=dev, test=test, seed=seed)
    groups = [{note.group for note in part} for part in before.values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert sorted(note.id for part in before.values() for note in part) == sorted(note.id for note in notes(120))
    for part in Split:
        assert {note.id for note in before[part]} <= {note.id for note in after[part]}


def test_shares_are_met_on_average():
    parts = [part_of(f"p{i}", dev=0.1, test=0.2, seed=13) for i in range(20_000)]
    assert abs(parts.count(Split.test) / 20_000 - 0.2) < 0.01
    assert abs(parts.count(Split.dev) / 20_000 - 0.1) < 0.01


def test_the_division_never_changes():
    """These parts were written down once; another result would move patients between published parts."""
    found = [part_of(f"p{i}", dev=0.1, test=0.2, seed=13).value for i in range(12)]
    assert found == [
        "test",
        "train",
        "train",
        "train",
        "test",
        "train",
        "test",
        "test",
        "test",
        "test",
        "train",
        "test",
    ]


def test_examples_carry_their_part():
    examples = [Example(f"e{i}", {"note": "x"}, Answer(), f"g{i}") for i in range(200)]
    for part, members in split_by_group(examples, dev=0.2, test=0.2, seed=1).items():
        assert members and {example.split for example in members} == {part}


def test_an_empty_part_names_a_seed_that_works():
    few = notes(4, per_group=1)
    with pytest.raises(InputError, match=r"Use seed (\d+)") as caught:
        for seed in range(100):
            split_by_group(few, dev=0.2, test=0.2, seed=seed)
    better = int(caught.value.fix.split()[-1])
    assert all(split_by_group(few, dev=0.2, test=0.2, seed=better).values())


def test_one_group_cannot_be_divided():
    with pytest.raises(InputError, match="empty"):
        split_by_group(notes(2), dev=0.0, test=0.5, seed=1)


@pytest.mark.parametrize(("dev", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.1, 1.0)])
def test_shares_are_checked(dev, test):
    with pytest.raises(InputError, match="shares"):
        split_by_group(notes(10), dev=dev, test=test, seed=1)


def test_no_test_part_is_possible():
    assert split_by_group(notes(100), dev=0.5, test=0, seed=2)[Split.test] == []
