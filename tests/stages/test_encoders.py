"""The whole way on tiny random encoders: every method adapts, is scored and, where it stands alone, predicts."""

import json
import re
import shutil
from contextlib import contextmanager

import pytest
import torch

from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.inference.reference import check_reference
from clinprompt.prompts.bank import SoftPrompt, load_metaprompt, load_prompt
from clinprompt.schema.example import TaskKind
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import BESIDE, read_adapted
from clinprompt.stages.configs import (
    AdaptSettings,
    BackboneSettings,
    DecodingSettings,
    DistillSettings,
    EvaluateSettings,
    PredictSettings,
    PromptSettings,
    TeachSettings,
)
from clinprompt.stages.distill import FILE as METAPROMPT
from clinprompt.stages.distill import distill
from clinprompt.stages.evaluate import COUNTS, evaluate, read_scores
from clinprompt.stages.importing import import_data
from clinprompt.stages.methods import (
    Budget,
    FineTuning,
    HardPrompt,
    Instruction,
    Lora,
    Mpt,
    PromptTuning,
    SoftPromptUnfrozen,
)
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.predict import predict
from clinprompt.stages.teach import teach
from clinprompt.training.loop import train
from clinprompt.training.method import method
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes

SHORT = Budget(steps=2, batch=2, rates=(1e-3,), dev_limit=2)
BEST = Budget(steps=2, batch=2, rates=(0.1, 0.3), keep="best", dev_every=1, dev_limit=2)
PROMPT = PromptSettings(length=4, placement="prefix")
METHODS = {
    "fine-tuning": FineTuning(budget=SHORT),
    "hard-prompt": HardPrompt(budget=SHORT),
    "soft-prompt-unfrozen": SoftPromptUnfrozen(budget=SHORT),
    "soft-prompt-unfrozen, every": SoftPromptUnfrozen(budget=SHORT, layers="every", placement="suffix"),
    "prompt-tuning": PromptTuning(budget=BEST),
    "prompt-tuning, every": PromptTuning(budget=SHORT, layers="every"),
    "prompt-tuning, mlp": PromptTuning(budget=SHORT, encoder="mlp"),
    "prompt-tuning, lstm": PromptTuning(budget=SHORT, encoder="lstm"),
    "lora": Lora(rank=2, budget=SHORT),
}
RUNS = [("bert", name) for name in METHODS] + [("roberta", name) for name in ("prompt-tuning", "hard-prompt", "lora")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    notes = write_notes(folder / "notes")
    given = {"reader": "brat", "options": {}}
    import_data(notes, folder / "links", name="links", kind=TaskKind.relations, **given)
    for name in ("drugs", "meds", "doses"):
        import_data(notes, folder / name, name=name, kind=TaskKind.entities, instruction=f"List the {name}.", **given)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("backbones")
    return {family: write_tiny(parent / family, family=family) for family in ("bert", "roberta")} | {
        "llama": tiny_folder(parent / "llama")
    }


@pytest.fixture(scope="module")
def backbones(folders):
    settings = {family: BackboneSettings(path=str(folder), head_width=8) for family, folder in folders.items()}
    return {family: (one, open_backbone(one)) for family, one in settings.items()}


@pytest.fixture(scope="module")
def adapted(data, backbones, tmp_path_factory):
    """The run of a method on a family, made when it is first asked for."""
    runs, made = tmp_path_factory.mktemp("runs"), {}

    def run(family, name):
        if (family, name) not in made:
            settings, opened = backbones[family]
            given = {"prompt": PROMPT, "targets": (data / "links", data / "meds")}
            made[family, name] = adapt(
                AdaptSettings(backbone=settings, method=METHODS[name], **given), runs=runs, opened=opened
            )
        return made[family, name]

    return run


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


def test_what_belongs_to_trained_weights_predicts_nothing_alone(adapted, backbones, tmp_path):
    settings, opened = backbones["bert"]
    for name in ("hard-prompt", "lora"):
        prompt = adapted("bert", name).outputs / "meds" / "full" / BESIDE
        given = {"prompts": (prompt,), "notes": write_notes(tmp_path / "new", 1), "out": tmp_path / "out"}
        with pytest.raises(InputError, match="belongs to weights that were trained with it") as refused:
            predict(PredictSettings(backbone=settings, **given), opened=opened)
        assert "clinprompt evaluate" in str(refused.value) and not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def metaprompt(data, backbones, tmp_path_factory):
    settings, opened = backbones["bert"]
    runs = tmp_path_factory.mktemp("sources")
    sources = tuple(data / name for name in ("drugs", "doses", "links"))
    taught = teach(
        TeachSettings(backbone=settings, sources=sources, prompt=PROMPT, budget=BEST), runs=runs, opened=opened
    )
    distilled = distill(
        DistillSettings(backbone=settings, teachers=taught.path, sources=sources, budget=SHORT),
        runs=runs,
        opened=opened,
    )
    return distilled.outputs / METAPROMPT


@pytest.mark.parametrize("factors", ["mean", "select"])
def test_mpt_goes_on_from_the_metaprompt_and_its_scorers(factors, metaprompt, backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    made = load_metaprompt(metaprompt, backbone=opened.identity)
    assert list(made.factors) == ["drugs", "doses", "links"] and made.heads["edges"].shape == (2, 32)
    run = adapt(
        AdaptSettings(
            backbone=settings,
            targets=(data / "meds",),
            method=Mpt(budget=SHORT, factors=factors),
            metaprompt=metaprompt,
            shots=(0, 2, "full"),
        ),
        runs=tmp_path,
        opened=opened,
    )
    untrained = load_prompt(run.outputs / "meds" / "k0-d0" / "prompt.safetensors", backbone=opened.identity)
    trained = load_prompt(run.outputs / "meds" / "full" / "prompt.safetensors", backbone=opened.identity)
    assert all(torch.equal(untrained.heads[name], made.heads[name]) for name in made.heads)
    assert not torch.equal(trained.heads["edges"], made.heads["edges"])
    assert trained.card.placement == "prefix" and trained.card.rank == 1
    scored = evaluate(
        EvaluateSettings(backbone=settings, adapted=run.path, targets=(data / "meds",), resamples=100, limit=1),
        runs=tmp_path,
        opened=opened,
    )
    assert {record["shots"] for record in read_scores(scored.path)} == {"0", "2", "full"}


def test_silenced_prompts_and_damaged_scorers_are_noticed(adapted, backbones):
    _, opened = backbones["bert"]
    for name in ("prompt-tuning", "prompt-tuning, every"):
        prompt = load_prompt(adapted("bert", name).outputs / "meds" / "full" / "prompt.safetensors")
        check_reference(opened.backbone, prompt, where="x")
        silenced = SoftPrompt(torch.zeros_like(prompt.vectors), prompt.card, prompt.heads)
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, silenced, where="x")
        damaged = prompt.heads | {"edges": prompt.heads["edges"].flip(0)}
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, SoftPrompt(prompt.vectors, prompt.card, damaged), where="x")
        matcher = prompt.heads | {"match_out": prompt.heads["match_out"] + 1.0}
        with pytest.raises(InputError, match="does not act as it did"):
            check_reference(opened.backbone, SoftPrompt(prompt.vectors, prompt.card, matcher), where="x")


def test_prompts_of_encoders_and_decoders_are_not_mixed_up(adapted, backbones, data, tmp_path):
    bert, llama = backbones["bert"], backbones["llama"]
    given = {"targets": (data / "meds",), "method": PromptTuning(budget=SHORT), "prompt": PROMPT}
    written = adapt(AdaptSettings(backbone=llama[0], **given), runs=tmp_path, opened=llama[1])
    read = adapted("bert", "prompt-tuning")
    notes = write_notes(tmp_path / "new", 1)
    for (settings, opened), run in ((llama, read), (bert, written)):
        prompts = (run.outputs / "meds" / "full" / "prompt.safetensors",)
        with pytest.raises(InputError, match="do not carry over"):
            predict(
                PredictSettings(backbone=settings, prompts=prompts, notes=notes, out=tmp_path / "out"), opened=opened
            )


def test_what_an_encoder_cannot_do_is_refused(backbones, data, tmp_path):
    settings, opened = backbones["bert"]
    rows = [f"{n},note {n},{'yes' if n % 2 else 'no'}\n" for n in range(12)]
    (tmp_path / "rows.csv").write_text("id,note,label\n" + "".join(rows))
    columns = {"note": "note", "label": "label"}
    import_data(tmp_path / "rows.csv", tmp_path / "classes", name="classes", reader="csv_table", options=columns)
    with pytest.raises(InputError, match="answers with places in the note"):
        adapt(
            AdaptSettings(backbone=settings, targets=(tmp_path / "classes",), method=FineTuning()),
            runs=tmp_path,
            opened=opened,
        )
    with pytest.raises(InputError, match="needs a model that writes"):
        adapt(
            AdaptSettings(backbone=settings, targets=(data / "meds",), method=Instruction()),
            runs=tmp_path,
            opened=opened,
        )
    for name in ("hard-prompt", "soft-prompt-unfrozen"):
        given = {"targets": (data / "meds",), "method": METHODS[name]}
        with pytest.raises(InputError, match="is a decoder"):
            adapt(AdaptSettings(backbone=backbones["llama"][0], **given), runs=tmp_path, opened=backbones["llama"][1])
    with pytest.raises(InputError, match=r"backbone\.weights is for decoders"):
        open_backbone(settings.model_copy(update={"weights": "int8"}))


@pytest.mark.parametrize("name", ["prompt-tuning, lstm", "soft-prompt-unfrozen"])
def test_an_interrupted_run_ends_as_a_straight_one(name, adapted, backbones, data, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    @contextmanager
    def dying(stage, total):
        def advance(count=1, **values):
            raise Killed

        yield advance

    monkeypatch.setattr("clinprompt.training.loop.train.__kwdefaults__", {**train.__kwdefaults__, "save_every": 0.0})
    settings, opened = backbones["bert"]
    given = AdaptSettings(
        backbone=settings, method=METHODS[name], prompt=PROMPT, targets=(data / "links", data / "meds")
    )
    with pytest.raises(Killed):
        adapt(given, runs=tmp_path, opened=opened, progress=dying)
    resumed = adapt(given, runs=tmp_path, opened=opened)
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
