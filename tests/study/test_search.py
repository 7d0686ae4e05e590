"""A search by Optuna: so many trials for every method, on the development part, the same ones when it is run again."""

from __future__ import annotations

import json

import pytest

from clinprompt.errors import InputError
from clinprompt.stages.methods import PromptTuning
from clinprompt.study.archive import Archive
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.search import tuned
from clinprompt.study.study_file import Partition, Search, Study
from tests.made_backbones import tiny_folder


def made(folder, *, keep="best"):
    return Study(
        name="tiny",
        backbones={"tiny": {"path": str(tiny_folder(folder, context=4096))}},
        tasks=Partition(targets=("lab-flag",)),
        limits={"train": 4, "dev": 2, "test": 2},
        methods={"prompt-tuning": PromptTuning(budget={"steps": 2, "batch": 2, "keep": keep})},
        search=Search(kind="optuna", trials=3),
        shots=(2,),
        seeds=(1, 2),
        score={"limit": 1, "answer_tokens": 2, "resamples": 100},
    )


def test_the_best_of_the_trials_trains_every_seed(tmp_path):
    pytest.importorskip("optuna")
    study = made(tmp_path / "backbone")
    gangs = planned(parts_of(study), study.search)
    worker = Worker(tmp_path / "runs", Archive(tmp_path / "out"))
    done, gaps = run_gangs(gangs, worker, tuned=tuned)
    assert not gaps
    [file] = (tmp_path / "out" / "searches").glob("*.json")
    trials = json.loads(file.read_text())["trials"]
    assert len(trials) == 3 and len({trial["rate"] for trial in trials}) == 3
    assert all(0.03 <= trial["rate"] <= 3 for trial in trials)
    best = min(trials, key=lambda trial: trial["dev_loss"])["rate"]
    assert [record.rates for record in done] == [(best,), (best,)]
    file.unlink()
    again = tuned(gangs[1], worker)  # the same trials, all of them finished runs
    assert again.methods["prompt-tuning"].budget.rates == (best,)
    assert len(list((tmp_path / "runs" / "adapt").iterdir())) == 3 + 1


def test_a_search_needs_looks_at_the_development_part(tmp_path):
    pytest.importorskip("optuna")
    study = made(tmp_path / "backbone", keep="last")
    gangs = planned(parts_of(study), study.search)
    with pytest.raises(InputError, match="`keep: last` never looks at"):
        tuned(gangs[0], Worker(tmp_path / "runs", Archive(tmp_path / "out")))


def test_without_optuna_the_package_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    study = made(tmp_path / "backbone")
    gangs = planned(parts_of(study), study.search)
    with pytest.raises(InputError, match="needs the package optuna"):
        tuned(gangs[0], Worker(tmp_path / "runs", Archive(tmp_path / "out")))
