"""The reading recipes on n2c2 2018 and 2022: two steps on a tiny MegatronBert, GatorTron's class, on synthetic notes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from clinprompt.backbones import tiny_encoders
from clinprompt.stages.overrides import load_config
from clinprompt.study.recipe import Recipe

from ..cli.conftest import clinprompt  # noqa: F401
from ..made_span_corpora import n2c2_2018, n2c2_2022

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def encoder(tmp_path, monkeypatch) -> Path:
    """Letters are its tokens, so that its table of positions has to be long."""
    family = tiny_encoders.ENCODERS["megatron-bert"]
    longer = dataclasses.replace(family, settings={"max_position_embeddings": 1024})
    monkeypatch.setitem(tiny_encoders.ENCODERS, "megatron-bert", longer)
    return tiny_encoders.write_tiny_encoder(tmp_path / "encoder", family="megatron-bert")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), [("reading-n2c2-2018", n2c2_2018), ("reading-n2c2-2022", n2c2_2022)])
def test_two_steps_of_everything(name, make, encoder, clinprompt, tmp_path):  # noqa: F811
    recipe = load_config(RECIPES / f"{name}.yaml", Recipe, [])
    make(tmp_path / "corpora")
    sets = ["limits={train: 4, dev: 1, test: 1}", "prompt.length=4", "seeds=[1]", "backbone.head_width=8",
            "backbone.autocast=none", "score.limit=1", "score.resamples=100"]  # fmt: skip
    for method, settings in recipe.methods.items():
        assert settings.budget.folds == 5 and len(settings.budget.rates) == 2
        budget = {"steps": 2, "batch": 2, "dev_limit": 2, "folds": 2, "head_rate": 0.3}
        sets += [f"methods.{method}.budget.{key}={value}" for key, value in budget.items()]
    where = ("--data-root", str(tmp_path / "corpora"), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"))
    words = [word for one in sets for word in ("--set", one)]
    ended = clinprompt(
        "run", str(RECIPES / f"{name}.yaml"), *where, "--set", f"backbone.path={encoder}", *words, "--json"
    )
    assert ended.code == 0, ended.err
    rows = json.loads(ended.out)
    assert rows
    table = (tmp_path / "out" / "table.csv").read_text("utf-8")
    for target in recipe.targets:
        assert all(f"{method}" in table for method in recipe.methods) and target in table
    for others in recipe.across.values():
        assert all(other in table for other in others)
