"""The whole job on a tiny random backbone: every stage really runs, is reused, and resumes exactly."""

import json
from contextlib import contextmanager

import pytest

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.error_files import read_errors
from clinprompt.stages.methods import Budget, FineTuning, Instruction, Lora, Mpt, PromptTuning
from clinprompt.stages.opened import open_backbone
from clinprompt.study.difference import BETTER
from clinprompt.study.job import run_job, write_table
from clinprompt.study.recipe import Recipe, Scoring, Sources
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.story import report_job

SHORT = Budget(steps=3, batch=2, rates=(0.1,), dev_limit=4)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    write_tiny(folder)
    # Byte tokens make rows long; the tiny model's context must hold them.
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"max_position_embeddings": 256', '"max_position_embeddings": 4096'))
    return folder


@pytest.fixture(scope="module")
def recipe(backbone):
    return Recipe(
        name="tiny",
        backbone=BackboneSettings(path=str(backbone)),
        sources=Sources(tasks=("medications", "impression"), teach=SHORT, distill=SHORT),
        targets=("substance-use-site-b", "lab-flag"),
        limits={"train": 6, "dev": 3, "test": 4},
        methods={
            "instruction": Instruction(),
            "mpt": Mpt(budget=SHORT, factors="select"),
            "prompt-tuning": PromptTuning(budget=Budget(steps=3, batch=2, rates=(0.1, 0.3), dev_limit=4)),
            "lora": Lora(rank=2, budget=SHORT),
            "fine-tuning": FineTuning(budget=SHORT),
        },
        compare={"mpt": ("prompt-tuning", "lora")},
        shots=(0, 2),
        draws=2,
        own_draws=True,
        seeds=(1, 2),
        score=Scoring(limit=3, answer_tokens=4, resamples=200),
    )


@pytest.fixture(scope="module")
def opened(recipe):
    return open_backbone(recipe.backbone)


@pytest.fixture(scope="module")
def result(recipe, opened, tmp_path_factory):
    return run_job(recipe, runs=tmp_path_factory.mktemp("runs"), opened=opened)


def test_every_method_target_and_shot_count_has_a_line(result, recipe):
    found = {(line.method, line.target, line.shots) for line in result.lines}
    for target in recipe.targets:
        assert (TRIVIAL, target, "full") in found
        assert ("instruction", target, "0") in found
        for method in ("mpt", "prompt-tuning", "lora", "fine-tuning"):
            for shots in ("0", "2"):
                assert (method, target, shots) in found
    trained = [line for line in result.lines if line.method == "mpt" and line.shots == "2"]
    assert all(line.seeds == 2 and line.draws == 4 and line.n == 3 for line in trained)  # two draws with each seed
    assert all(0 <= line.low <= line.high <= 100 for line in result.lines)


def test_trainable_numbers_are_counted_from_tensors(result, backbone):
    whole = sum(p.numel() for p in load_backbone(str(backbone)).model.parameters())
    counts = {line.method: line.trainable for line in result.lines if line.shots == "2"}
    assert counts["prompt-tuning"] == 16 * 32
    assert counts["mpt"] == 16 * 32 + 16 + 32
    assert counts["fine-tuning"] == whole
    assert 0 < counts["lora"] < whole


def test_the_metaprompt_holds_a_factor_pair_per_source_and_its_card(result, opened):
    metaprompt = load_metaprompt(result.metaprompt, backbone=opened.identity)
    assert list(metaprompt.factors) == ["medications", "impression"]
    assert metaprompt.card.tasks == ("medications", "impression")
    assert metaprompt.card.placement == "suffix"


def test_what_the_teachers_records_leave_out_is_written_down(result):
    lost = result.distill.summary()["teacher_truncation"]  # 256 of the tiny vocabulary's 263 tokens are kept
    assert 0 < lost["tail_mass"] <= lost["largest_tail_mass"] < 0.1
    assert abs(lost["divergence_lost"]) < lost["divergence"] and lost["tokens"] > 10


def test_mpt_with_no_shots_is_the_metaprompt_times_the_mean_of_its_factors(result, opened):
    prompt = load_prompt(result.adapted["mpt", 1] / "lab-flag" / "k0-d0" / "prompt.safetensors")
    metaprompt = load_metaprompt(result.metaprompt)
    pairs = metaprompt.factors.values()
    mean = sum(pair.rows @ pair.cols for pair in pairs) / len(pairs)
    product = metaprompt.vectors * mean
    # The mean of two rank-one products has rank two; what is kept is its best rank-one part.
    assert (prompt.vectors - product).norm() < 0.5 * product.norm()
    assert prompt.card.trainable == 0


def test_a_finished_job_is_reused(recipe, opened, result, tmp_path_factory, monkeypatch):
    runs = result.teach.path.parents[1]
    monkeypatch.setattr("clinprompt.training.loop._Loop.advance", lambda *_: pytest.fail("something was trained anew"))
    again = run_job(recipe, runs=runs, opened=opened)
    assert again.lines == result.lines


def test_an_interrupted_job_gives_the_same_table_as_a_straight_one(recipe, opened, result, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    stops = iter([2, 4, 3, 3])

    @contextmanager
    def dying(name, total):
        left = next(stops, None) if name.startswith(("teach", "distill", "adapt")) else None
        steps = 0

        def advance(count=1, **values):
            nonlocal steps
            steps += 1
            if left is not None and steps >= left:
                raise Killed

        yield advance

    monkeypatch.setattr("clinprompt.training.loop.train.__kwdefaults__", train_defaults(save_every=0.0))
    for _ in range(8):
        try:
            resumed = run_job(recipe, runs=tmp_path, opened=opened, progress=dying)
            break
        except Killed:
            continue
    assert resumed.lines == result.lines


def train_defaults(**changed):
    from clinprompt.training.loop import train

    return {**train.__kwdefaults__, **changed}


def test_a_prompt_of_another_backbone_is_refused(result, tmp_path):
    other = open_backbone(BackboneSettings(path=str(write_tiny(tmp_path / "other", seed=9))))
    with pytest.raises(InputError, match="do not carry over"):
        load_metaprompt(result.metaprompt, backbone=other.identity)


def test_the_table_is_written_as_csv(result, tmp_path):
    write_table(tmp_path, result)
    text = (tmp_path / "table.csv").read_text().splitlines()
    assert text[0].startswith("method,target,kind,group,metric,shots,score,low,high")
    assert len(text) == len(result.lines) + 1
    groups = json.loads((tmp_path / "groups.json").read_text())
    assert groups["groups"]["all"] == ["substance-use-site-b", "lab-flag"] and groups["missing"] == []
    assert {line["group"] for line in groups["lines"] if line["method"] == "mpt"} == {"near", "far", "all"}
    found = json.loads((tmp_path / "differences.json").read_text())["lines"]
    assert {(line["reference"], line["shots"]) for line in found if line["group"] == "all"} >= {
        ("prompt-tuning", "2"), ("lora", "2"), (BETTER, "2")
    }  # fmt: skip
    assert all(line["paired_runs"] for line in found)
    assert len((tmp_path / "groups.csv").read_text().splitlines()) == len(groups["lines"]) + 1
    assert len((tmp_path / "differences.csv").read_text().splitlines()) == len(found) + 1


def test_errors_stand_beside_the_predictions(result):
    for cell in result.cells:
        if cell.method == TRIVIAL:
            continue
        lines = read_errors(cell.folder)
        items = (cell.folder / "error-items.csv").read_text().splitlines()
        assert items[0].startswith("document,example,error,gold,predicted")
        wrong = sum(line.boundary + line.type + line.boundary_type + line.missed + line.spurious for line in lines)
        assert len(items) - 1 == wrong and lines


def test_rows_are_long_enough_to_need_the_longer_context(opened):
    assert opened.backbone.max_tokens == 4096
    assert bool(opened.backbone.embeddings.isfinite().all())


def test_the_job_becomes_a_report(recipe, result, tmp_path):
    report_job(tmp_path / "report.html", recipe, result, command="clinprompt run tiny.yaml", seconds=1.0)
    text = (tmp_path / "report.html").read_text()
    assert "By group" in text and "better of the references" in text
    assert 'id="errors"' in text
    assert "substance-use-site-b" in text and "<svg" in text and "fine-tuning" in text
