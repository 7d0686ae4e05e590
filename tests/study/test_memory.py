"""What the plan of a study says of memory, by the prompts that its methods really have."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinprompt.backbones.loading import embedded_metaprompt
from clinprompt.backbones.tiny import write_tiny
from clinprompt.prompts.encoded import encoder_numbers
from clinprompt.prompts.prompt_file import read_card
from clinprompt.stages.configs import PromptSettings, TeachSettings
from clinprompt.stages.methods import Budget
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.memory import memory_of, teachers_memory
from clinprompt.study.study_file import Study

USUAL = {"length": 40, "placement": "suffix"}


@pytest.fixture(scope="module")
def memory():
    """Bytes of each method of a study of these prompts; twenty examples are in a batch."""

    def of(methods, *, prompt=USUAL, sources=None, **fields):
        made = {"sources": ("medications",)} if sources is not None else {}
        given = {"sources": sources} if sources is not None else {}
        study = Study(
            name="s",
            tasks={"targets": ("lab-flag",), **made},
            shots=(5,),
            prompt=prompt,
            methods=methods,
            **given,
            **fields,
        )
        return {one.gang.method: memory_of(one, tokens=500, answer=50) for one in planned(parts_of(study))}

    return of


def test_a_method_has_the_memory_of_its_own_prompt(memory):
    own = {"kind": "prompt-tuning", "length": 7, "placement": "prefix"}
    found = memory({"usual": {"kind": "prompt-tuning"}, "own": own})
    shaped = memory({"usual": {"kind": "prompt-tuning"}}, prompt={"length": 7, "placement": "prefix"})
    assert found["own"] == shaped["usual"] != found["usual"]


def test_a_variant_and_the_sources_have_the_memory_of_their_placement(memory):
    methods = {"usual": {"kind": "mpt"}, "before": {"kind": "mpt", "metaprompt": "before"}}
    found = memory(methods, sources={"variants": {"before": {"placement": "prefix"}}})
    prefix = memory({"usual": {"kind": "mpt"}}, sources={}, prompt=USUAL | {"placement": "prefix"})
    assert found["before"] == prefix["usual"] != found["usual"]
    for kind in ("spot", "attention"):
        [taught] = memory({kind: {"kind": kind}}, sources={"placement": "prefix"}).values()
        [shaped] = memory({kind: {"kind": kind}}, sources={}, prompt=USUAL | {"placement": "prefix"}).values()
        assert taught == shaped


def test_a_finished_metaprompt_has_its_own_shape(memory):
    card = read_card(embedded_metaprompt())
    shape = {"length": card.length, "placement": card.placement}
    [found] = memory({"mpt": {"kind": "mpt"}}, metaprompts={"embedded": embedded_metaprompt()}).values()
    [same] = memory({"mpt": {"kind": "mpt"}}, sources={}, prompt=shape).values()
    [other] = memory({"mpt": {"kind": "mpt"}}, sources={}).values()
    assert found == same != other


def test_what_has_no_prompt_takes_no_memory_for_one(memory):
    for kind in ("instruction", "in-context"):
        assert memory({kind: {"kind": kind}}) == memory({kind: {"kind": kind}}, prompt={"length": 4000})


@pytest.mark.parametrize("layers", ["input", "every"])
def test_teachers_take_as_much_as_prompts_that_are_tuned_side_by_side(layers):
    tasks, budget = ("medications", "impression", "lab-flag"), Budget(batch=4, rates=(0.1, 0.3))
    prompt = PromptSettings(length=7, placement="prefix", layers=layers)
    taught = TeachSettings(sources=tuple(map(Path, tasks)), prompt=prompt, budget=budget)
    method = {"kind": "prompt-tuning", "budget": budget.model_dump()}
    study = Study(name="s", tasks={"targets": tasks}, prompt=prompt, methods={"m": method})
    [tuned] = [memory_of(one, tokens=500, answer=50) for one in planned(parts_of(study))]
    assert teachers_memory(taught, tokens=500, answer=50) == tuned
    assert teachers_memory(taught, tokens=600, answer=50) > tuned


def test_what_makes_a_prompt_counts_for_every_member(memory, tmp_path):
    """Cells, rates and folds are members of one gang: here one cell, two rates and three folds."""
    backbones = {"one": {"path": str(write_tiny(tmp_path / "bert", family="bert"))}}
    budget = {"rates": [0.1, 0.3], "folds": 3}
    methods = {"plain": {}, "lstm": {"encoder": "lstm"}, "every": {"layers": "every"}}
    methods = {name: {"kind": "prompt-tuning", "budget": budget, **more} for name, more in methods.items()}
    found = memory(methods, backbones=backbones, prompt={"length": 10, "placement": "prefix"})
    # A step copies the networks of its members.
    assert found["lstm"] - found["plain"] == 6 * 4 * (4 + 1) * encoder_numbers("lstm", hidden=32)
    assert found["every"] - found["plain"] == 6 * 4 * 4 * (3 - 1) * 10 * 32


def test_an_encoder_runs_as_many_rows_at_once_as_it_does_in_training(memory, tmp_path):
    backbones = {"one": {"path": str(write_tiny(tmp_path / "bert", family="bert")), "device": "cpu"}}
    prompt = {"length": 6, "placement": "prefix"}

    def of(**budget):
        method = {"kind": "prompt-tuning", "budget": {"batch": 8, **budget}}
        return memory({"m": method}, backbones=backbones, prompt=prompt)["m"]

    # Its rows are cut to 256 positions, so that two of them are 512 tokens.
    assert of() == of(tokens_per_forward=512) == of(batch=2) > of(batch=1)
    assert of() < of(tokens_per_forward=2048)
