"""The whole way on tiny random encoders: every method adapts, is scored and, where it stands alone, predicts."""

import json
import re
import shutil
from contextlib import contextmanager

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.schema.example import Answer, Example
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import BESIDE, applied, read_adapted
from clinprompt.stages.configs import (
    AdaptSettings,
    BackboneSettings,
    DecodingSettings,
    EvaluateSettings,
    PredictSettings,
)
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.scores import COUNTS, read_scores
from clinprompt.training.loop import train
from clinprompt.training.method import method
from tests.encoder_methods import METHODS, PROMPT
from tests.made_notes import write_notes

WORDED = ("prompt-tuning", "hard-prompt")
RUNS = [("bert", name) for name in METHODS] + [("roberta", name) for name in ("prompt-tuning", "hard-prompt", "lora")]


@pytest.fixture(scope="module")
def scored(data, backbones, adapted, tmp_path_factory):
    runs, made = tmp_path_factory.mktemp("scores"), {}

    def run(family, name):
        if (family, name) not in made:
            settings, opened = backbones[family]
            given = {"adapted": adapted(family, name).path, "targets": (data / "links", data / "meds")}
            made[family, name] = evaluate(
                EvaluateSettings(backbone=settings, resamples=100, limit=2, **given), runs=runs, opened=opened
            )
        return made[family, name]

    return run


@pytest.mark.parametrize(("family", "name"), RUNS)
def test_every_method_is_trained_stored_and_scored(family, name, adapted, scored, backbones):
    run, row = adapted(family, name), method(METHODS[name].kind)
    _, opened = backbones[family]
    cells = {cell.task: cell for cell in read_adapted(run.outputs)}
    assert set(cells) == {"links", "meds"} and all(cell.loss is not None for cell in cells.values())
    for cell in cells.values():
        path = run.outputs / cell.file
        frozen = row.weights == "frozen"
        assert path.name == {"frozen": "prompt.safetensors", "lora": "lora", "all": "weights.safetensors"}[row.weights]
        prompt = load_prompt(path if frozen else path.with_name(BESIDE), backbone=opened.identity)
        assert prompt.heads["edges"].shape == (2, 32) and prompt.heads["match_in"].shape == (8, 64)
        assert prompt.card.template == ("reading-words" if row.prompt == "words" else "reading-label")
        layers = (3,) if getattr(METHODS[name], "layers", "input") == "every" else ()
        assert prompt.vectors.shape == (*layers, 4 if row.prompt == "free" else 0, 32)
        assert prompt.card.reference.with_prompt and bool(prompt.vectors.isfinite().all())
        if row.prompt == "free":
            assert prompt.card.reference.with_prompt != prompt.card.reference.without_prompt
    records = {record["task"]: record for record in read_scores(scored(family, name).path)}
    assert set(records) == set(cells)
    for task, record in records.items():
        assert all(0 <= score["low"] <= score["value"] <= score["high"] <= 100 for score in record["scores"])
        assert set(record["grounding"]) == {"constrained"}
        counts = json.loads((scored(family, name).outputs / task / "full" / COUNTS).read_text())
        assert sum(row[2] for row in counts[record["scores"][0]["metric"]].values()) > 0
    assert [score["metric"] for score in records["links"]["gold_heads"]] == ["relation-f1", "relation-f1-lenient"]
    assert "gold_heads" not in records["meds"]


def test_weights_are_as_they_were_after_methods_that_change_them(adapted, backbones, folders):
    adapted("bert", "fine-tuning"), adapted("bert", "lora")
    _, opened = backbones["bert"]
    anew = open_backbone(BackboneSettings(path=str(folders["bert"]))).backbone.model.state_dict()
    assert all(torch.equal(value, anew[name]) for name, value in opened.backbone.model.state_dict().items())
    assert not opened.backbone.altered


def test_trainable_numbers_are_counted(adapted, backbones):
    _, opened = backbones["bert"]
    whole = sum(weight.numel() for weight in opened.backbone.model.parameters())
    heads = 2 * 32 + 2 + 8 * 64 + 8 + 8 + 1
    counts = {name: read_adapted(adapted("bert", name).outputs)[0].trainable for name in METHODS}
    assert counts["fine-tuning"] == counts["hard-prompt"] == whole + heads
    assert counts["soft-prompt-unfrozen"] == whole + heads + 4 * 32
    assert counts["prompt-tuning"] == heads + 4 * 32
    assert counts["prompt-tuning, every"] == heads + 3 * 4 * 32
    assert heads < counts["lora"] < whole


def test_notes_are_read_with_prompts_of_several_tasks_and_written_as_brat(adapted, backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    write_notes(tmp_path / "new", 2, annotated=False)
    for name in ("prompt-tuning", "prompt-tuning, every", "prompt-tuning, lstm"):
        outputs = adapted("bert", name).outputs
        prompts = tuple(outputs / task / "full" / "prompt.safetensors" for task in ("links", "meds"))
        given = {"prompts": prompts, "notes": tmp_path / "new", "out": tmp_path / name}
        report = predict(PredictSettings(backbone=settings, **given), opened=opened)
        assert report.notes == 2 and report.decoding.unlocated == report.truncated == 0
        spans = 0
        for number in range(2):
            text = (tmp_path / name / f"n{number}.txt").read_bytes().decode()
            for line in (tmp_path / name / f"n{number}.ann").read_text().splitlines():
                if found := re.fullmatch(r"T\d+\t(\w+) (\d+) (\d+)\t(.*)", line):
                    label, start, end, words = found.groups()
                    assert label in ("Drug", "Dose") and re.sub(r"\s", " ", text[int(start) : int(end)]) == words
                    spans += 1
        assert spans == report.spans


@pytest.mark.parametrize("name", ["fine-tuning", "hard-prompt", "soft-prompt-unfrozen, every", "lora"])
def test_notes_are_read_with_trained_weights_as_they_are_scored(name, adapted, backbones, tmp_path):
    settings, opened = backbones["bert"]
    write_notes(tmp_path / "new", 2, annotated=False)
    run, own = adapted("bert", name), opened.backbone.model.state_dict()
    own = {key: value.clone() for key, value in own.items()}
    [cell] = [cell for cell in read_adapted(run.outputs) if cell.task == "meds"]
    given = {"notes": tmp_path / "new", "out": tmp_path / "found.jsonl", "writer": "jsonl", "backbone": settings}
    with pytest.raises(InputError, match="this run has 2 prompts"):
        predict(PredictSettings(prompts=(run.path,), **given), opened=opened)
    prompt = run.outputs / "meds" / "full" / BESIDE
    predict(PredictSettings(prompts=(prompt,), **given), opened=opened)
    found = [json.loads(line)["spans"] for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    text = (tmp_path / "new" / "n0.txt").read_text()
    asked = Example("n0", {"note": text}, Answer(), "n0")
    task = load_prompt(prompt).card.task
    suited = opened.suited(METHODS[name].kind, [task])
    with applied(suited, run.outputs, cell) as beside:
        predictor = suited.predictor(DecodingSettings(), tokens=1)
        [said] = predictor.predict([beside.question(asked, task, suited.template, name="")])
    assert len(found) == 2 and len(found[0]) == len(said.answer.spans)
    assert all(torch.equal(value, own[key]) for key, value in opened.backbone.model.state_dict().items())
    assert not opened.backbone.altered


@pytest.mark.parametrize("name", ["prompt-tuning, lstm", "soft-prompt-unfrozen"])
def test_an_interrupted_run_ends_as_a_straight_one(name, adapted, backbones, data, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    saves = []

    @contextmanager
    def dying(stage, total):
        def advance(count=1, **values):
            if saved := list(tmp_path.glob("adapt/*/checkpoints/**/*.safetensors")):
                saves.extend(saved)
                raise Killed

        yield advance

    seen, totals = [], []

    @contextmanager
    def counting(stage, total):
        totals.append(total)
        yield lambda count=1, **values: seen.append(count)

    for stage in ("adapt_prompts", "adapt_weights"):
        often = lambda *given, **named: train(*given, **{**named, "save_every": 0.0})  # noqa: E731
        monkeypatch.setattr(f"clinprompt.stages.{stage}.train", often)
    settings, opened = backbones["bert"]
    given = AdaptSettings(
        backbone=settings, method=METHODS[name], prompt=PROMPT, targets=(data / "links", data / "meds")
    )
    with pytest.raises(Killed):
        adapt(given, runs=tmp_path, opened=opened, progress=dying)
    resumed = adapt(given, runs=tmp_path, opened=opened, progress=counting)
    assert saves and len(seen) < sum(totals), "it began anew"
    straight = adapted("bert", name)
    assert read_adapted(resumed.outputs) == read_adapted(straight.outputs)
    files = [path.relative_to(resumed.outputs) for path in resumed.outputs.rglob("*.safetensors")]
    assert files
    for file in files:
        one, other = (run.outputs / file for run in (resumed, straight))
        if file.name == "weights.safetensors":
            assert one.read_bytes() == other.read_bytes()
        else:
            first, second = load_prompt(one), load_prompt(other)
            assert torch.equal(first.vectors, second.vectors)
            assert all(torch.equal(first.heads[key], second.heads[key]) for key in first.heads)


def test_flat_and_gold_heads_are_settings_of_decoding(adapted, backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    run = adapted("bert", "prompt-tuning")
    for decoding in (DecodingSettings(flat=True), DecodingSettings(gold_heads=True)):
        scored = evaluate(
            EvaluateSettings(backbone=settings, adapted=run.path, targets=(data / "links", data / "meds"),
                             resamples=100, limit=1, decoding=decoding),
            runs=tmp_path, opened=opened,
        )  # fmt: skip
        [line] = (scored.outputs / "links" / "full" / "predictions.jsonl").read_text().splitlines()
        said = json.loads(line)["provenance"]["decoding"]
        assert ("best places" in said, "gold heads" in said) == (decoding.flat, decoding.gold_heads)
    shutil.rmtree(tmp_path / "evaluate")


def test_the_wording_is_the_method_s_or_the_one_that_is_asked_for(backbones, folders):
    _, opened = backbones["bert"]
    asked = open_backbone(BackboneSettings(path=str(folders["bert"]), template="reading-words"))
    wordings = {name: [one.suited(name, []).template.wording for one in (opened, asked)] for name in WORDED}
    assert wordings == {"prompt-tuning": ["label", "words"], "hard-prompt": ["words", "words"]}
    with pytest.raises(InputError, match="no template named 'reading-word'"):
        open_backbone(BackboneSettings(path=str(folders["bert"]), template="reading-word"))


def test_scores_in_another_wording_than_the_prompt_s_are_refused(adapted, backbones, folders, data, tmp_path):
    run = adapted("bert", "prompt-tuning")
    settings = backbones["bert"][0].model_copy(update={"template": "reading-words"})
    with pytest.raises(InputError, match="template=reading-label"):
        evaluate(
            EvaluateSettings(backbone=settings, adapted=run.path, targets=(data / "links", data / "meds")),
            runs=tmp_path,
        )
