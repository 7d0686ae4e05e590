"""The study of arXiv 2604.06650: 21 + 10 tasks on three backbones, planned without data, run for two steps on tiny ones.

The corpora are synthetic files in the layouts of the real ones, the backbones random models of the same classes.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.overrides import load_config
from clinprompt.stages.prepare import read_parts
from clinprompt.study.expansion import parts_of
from clinprompt.study.plan import missing_data
from clinprompt.study.study_file import Study
from clinprompt.tasks.catalog import load_task

from .. import made_answer_corpora as answers
from .. import made_span_corpora as spans
from ..cli.conftest import clinprompt  # noqa: F401
from ..made_backbones import tiny_folder

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = ("paper-llama", "paper-meditron", "paper-gpt-oss", "paper-few-shot")
STUDIES = {name: load_config(RECIPES / f"{name}.yaml", Study, []) for name in NAMES}
GIB = 1024**3
CORPORA = (
    spans.i2b2_2010, spans.i2b2_2012, spans.n2c2_2018, spans.n2c2_2022, spans.n2c2_2022_track1, spans.opioid_use,
    spans.radgraph, spans.semeval_2015, answers.aci_bench, answers.bioasq, answers.emrqa, answers.headqa,
    answers.medbullets, answers.mediqa_rqe, answers.medmcqa, answers.mednli, answers.meqsum, answers.mimic,
    answers.mts_dialog, answers.progress_notes, answers.pubmedqa, answers.radnli, answers.scinli,
)  # fmt: skip


def test_all_have_the_same_21_sources_and_two_targets_of_each_kind():
    plans = {study.tasks for study in STUDIES.values()}
    assert len(plans) == 1
    [plan] = plans
    assert (len(plan.sources), len(plan.targets)) == (21, 10)
    assert Counter(load_task(name).kind for name in plan.targets) == dict.fromkeys(TaskKind, 2)
    assert {load_task(name).kind for name in plan.sources[:5]} == set(TaskKind)
    first, *others = [(study.prompt, study.sources, study.limits) for study in STUDIES.values()]
    assert all(other == first for other in others)


def test_the_few_shot_study_and_the_others_share_backbones_and_so_metaprompts():
    alone = {key: value for name in NAMES[:3] for key, value in STUDIES[name].backbones.items()}
    assert alone == STUDIES["paper-few-shot"].backbones
    assert STUDIES["paper-few-shot"].shots == (0, 1, 5, 10, 20) and STUDIES["paper-few-shot"].draws == 10
    for name in NAMES[:3]:
        assert {method.kind for method in STUDIES[name].methods.values()} == {
            "instruction", "mpt", "prompt-tuning", "lora", "fine-tuning",
        }  # fmt: skip


def test_every_trained_method_has_as_many_rates():
    for study in STUDIES.values():
        rates = {len(method.budget.rates) for method in study.methods.values() if hasattr(method, "budget")}
        assert rates == {3}


def test_without_data_and_models_the_plan_has_cells_memory_and_what_is_missing(clinprompt, tmp_path):  # noqa: F811
    place = ("--data-root", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"))
    ended = clinprompt("study", "plan", str(RECIPES / "paper-few-shot.yaml"), *place, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["cells"] == 3 * (10 + 3 * 10 * (1 + 4 * 10)) and found["seconds"] is None
    memory = {(line["part"], line["kind"]): line["memory"] for line in found["lines"]}
    for backbone, weights in (("llama", 15), ("meditron", 15), ("gpt-oss", 39)):  # bfloat16 weights alone
        assert weights < memory[backbone, "instruction"] / GIB < memory[backbone, "mpt"] / GIB < 80
        assert memory[backbone, "lora"] is None
    ended = clinprompt("study", "plan", str(RECIPES / "paper-few-shot.yaml"), *place, "--device", "cuda", "--json")
    on_gpu = {(line["part"], line["kind"]): line["memory"] for line in json.loads(ended.out)["lines"]}
    assert memory["llama", "mpt"] < on_gpu["llama", "mpt"]  # more tokens at once
    assert clinprompt("study", "plan", str(RECIPES / "paper-few-shot.yaml"), *place, "--device", "warp").code == 2
    plan = STUDIES["paper-few-shot"].tasks
    assert set(found["missing_data"]) == {*plan.sources, *plan.targets}
    assert all("of your data root" in text and "\n" not in text for text in found["missing_data"].values())

    ended = clinprompt("study", "run", str(RECIPES / "paper-llama.yaml"), *place)
    assert ended.code == 2 and "24 faults" in ended.err and "https://physionet.org/content/mednli/" in ended.err
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpora")
    for make in CORPORA:
        make(root)
    return root


def test_the_corpora_of_the_study_are_all_read_in_their_layouts(corpora):
    study = STUDIES["paper-llama"].model_copy(update={"data_root": corpora})
    assert missing_data(parts_of(study)) == []
    for name in (*study.tasks.sources, *study.tasks.targets):
        parts, _ = read_parts(load_task(name), data_root=corpora)
        assert set(parts) == set(Split) and all(parts.values()), name


SHORT = (
    "limits={train: 6, dev: 2, test: 2}", "prompt.length=4", "sources.teach.steps=2", "sources.teach.rates=[0.3]",
    "sources.teach.dev_limit=2", "sources.distill.steps=2", "sources.distill.batch=4", "sources.distill.dev_limit=2",
    "seeds=[1]", "score.answer_tokens=4", "score.resamples=100", "leakage.notes=20",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_everything(name, corpora, clinprompt, tmp_path):  # noqa: F811
    study = STUDIES[name]
    sets = list(SHORT)
    for backbone in study.backbones:
        folder = tiny_folder(tmp_path / backbone, family="gpt-oss" if backbone == "gpt-oss" else "llama")
        sets += [f"backbones.{backbone}.path={folder}", f"backbones.{backbone}.dtype=float32"]
    for method, settings in study.methods.items():
        if hasattr(settings, "budget"):
            budget = {"steps": 2, "batch": 2, "dev_limit": 2, "rates": list(settings.budget.rates[:1])}
            sets += [f"methods.{method}.budget.{key}={json.dumps(value)}" for key, value in budget.items()]
    if study.draws > 1:
        sets += ["draws=1", "shots=[0, 1]"]
    where = ("--data-root", str(corpora), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), "--json")
    arguments = (str(RECIPES / f"{name}.yaml"), *where, *(word for one in sets for word in ("--set", one)))
    ended = clinprompt("study", "run", *arguments)
    found = json.loads(ended.out)
    assert ended.code == 0 and not found["gaps"], ended.err
    assert found["done"] == found["gangs"] == len(study.backbones) * len(study.methods)
    ended = clinprompt("study", "report", *arguments)
    assert ended.code == 0 and json.loads(ended.out)["missing"] == 0, ended.err
