"""Methods whose prompts are mixtures: from teachers or a metaprompt to plain prompts, counted, resumed, refused."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from pydantic import ValidationError

from clinprompt.errors import InputError
from clinprompt.maths.decomposition import compose
from clinprompt.maths.routing import segment_of
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import read_adapted
from clinprompt.stages.configs import (
    AdaptSettings,
    DistillSettings,
    EvaluateSettings,
    PromptSettings,
    TeachSettings,
)
from clinprompt.stages.distill import FILE, distill
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.methods import Attention, Budget, Mpt, PromptTuning, Routing
from clinprompt.stages.scores import read_scores
from clinprompt.stages.source_prompts import teachers_of
from clinprompt.stages.teach import teach
from clinprompt.training.loop import train

P, H, K = 4, 32, 2
SHORT = Budget(steps=2, batch=2, rates=(0.1,), dev_limit=2)
TWO = Budget(steps=2, batch=2, rates=(0.1, 0.5), keep="best", dev_every=1, dev_limit=2)
PROMPT = PromptSettings(length=P)
METHODS = {
    "attention": Attention(budget=TWO),
    "attention, words and losses": Attention(start="text", weights="loss", temperature=0.1, budget=SHORT),
    "routing": Routing(segments=2, budget=TWO),
    "routing, gates only": Routing(segments=2, weights="loss", train_metaprompt=False, budget=SHORT),
    "routing, experts": Routing(experts=3, rank=2, budget=SHORT),
}
TRAINABLE = {
    "attention": P * H + K,
    "attention, words and losses": P * H + K,
    "routing": P * H + 2 * K,
    "routing, gates only": 2 * K,
    "routing, experts": 3 * P * 2 + 2 * H + 3,
}
SOURCES = ("doses", "drugs")


@pytest.fixture(scope="module", params=["llama", "bert"])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def made(family, data, backbones, tmp_path_factory):
    """The teachers' run, the metaprompt's file, and what adapt is asked for by a method."""
    settings, opened = backbones[family]
    runs = tmp_path_factory.mktemp(family)
    sources = tuple(data / name for name in reversed(SOURCES))
    given = {"backbone": settings, "sources": sources}
    taught = teach(TeachSettings(**given, prompt=PROMPT, budget=SHORT), runs=runs, opened=opened).path
    made = distill(DistillSettings(**given, teachers=taught, budget=SHORT), runs=runs, opened=opened)

    def asked(method, **changes):
        parts = (
            {"metaprompt": made.outputs / FILE} if isinstance(method, Routing) and method.experts == "sources" else {}
        )
        parts |= {"teachers": taught} if isinstance(method, Attention) else {}
        parts |= {"targets": (data / "meds",), "shots": (0, 2), "prompt": PROMPT} | changes
        return AdaptSettings(backbone=settings, method=method, **parts)

    return taught, made.outputs / FILE, asked


@pytest.mark.parametrize("name", METHODS)
def test_cells_become_plain_prompts_with_what_they_weigh(name, made, family, backbones, tmp_path):
    _, _, asked = made
    _, opened = backbones[family]
    run = adapt(asked(METHODS[name]), runs=tmp_path, opened=opened)
    start, trained = read_adapted(run.outputs)
    heads = sum(tensor[0].numel() for tensor in opened.heads([0]).values())
    assert (start.trainable, trained.trainable) == (0, TRAINABLE[name] + heads)
    segments = getattr(METHODS[name], "segments", 1)
    names = [f"expert {n}" for n in (1, 2, 3)] if "experts" in name else list(SOURCES)
    for cell in (start, trained):
        prompt = load_prompt(run.outputs / cell.file, backbone=opened.identity)
        assert prompt.vectors.shape == (P, H) and prompt.card.method == METHODS[name].kind
        assert sorted(prompt.card.lineage.sources) == ([] if "experts" in name else list(SOURCES))
        assert prompt.card.rank == (1 if METHODS[name].kind == "routing" and "experts" not in name else None)
        assert sorted(cell.weights) == names
        assert torch.tensor(list(cell.weights.values())).sum(dim=0).tolist() == pytest.approx([1.0] * segments)
    assert all(values == pytest.approx([1 / len(names)] * segments) for values in start.weights.values())
    assert start.weights != trained.weights
    assert not torch.equal(
        load_prompt(run.outputs / trained.file).vectors, load_prompt(run.outputs / start.file).vectors
    )


def test_without_examples_attention_is_the_mean_teacher_and_routing_the_metaprompt_times_the_mean_product(
    made, family, backbones, tmp_path
):
    taught, metaprompt, asked = made
    _, opened = backbones[family]

    def start_of(method):
        run = adapt(asked(method, shots=(0,)), runs=tmp_path, opened=opened)
        return load_prompt(run.outputs / read_adapted(run.outputs)[0].file)

    teachers = teachers_of(taught, opened)
    assert teachers.names == SOURCES
    for name, vectors in zip(teachers.names, teachers.vectors, strict=True):
        assert torch.equal(vectors, load_prompt(taught / "outputs" / f"{name}.safetensors").vectors)
    found = start_of(METHODS["attention"])
    torch.testing.assert_close(found.vectors, teachers.vectors.mean(dim=0))
    assert set(found.heads) == set(teachers.heads)
    assert all(torch.equal(found.heads[key], value) for key, value in teachers.heads.items())
    meta = load_metaprompt(metaprompt)
    mean = sum(compose(meta.vectors, pair.rows, pair.cols) for pair in meta.factors.values()) / K
    torch.testing.assert_close(start_of(METHODS["routing"]).vectors, mean)


def test_gates_alone_mix_the_sources_prompts_segment_by_segment(made, family, backbones, tmp_path):
    _, metaprompt, asked = made
    run = adapt(asked(METHODS["routing, gates only"]), runs=tmp_path, opened=backbones[family][1])
    cell = read_adapted(run.outputs)[1]
    meta = load_metaprompt(metaprompt)
    expected = torch.zeros(P, H)
    for name, pair in meta.factors.items():
        whole = compose(meta.vectors, pair.rows, pair.cols)
        for p, segment in enumerate(segment_of(P, 2).tolist()):
            expected[p] += cell.weights[name][segment] * whole[p]
    torch.testing.assert_close(load_prompt(run.outputs / cell.file).vectors, expected)


def test_weights_by_loss_are_the_softmax_of_the_sources_losses(made, family, backbones, data, tmp_path):
    if family == "bert":
        pytest.skip("a teacher alone has its own scorers, here it is tried with the mean of all teachers'")
    still = Budget(steps=1, batch=2, rates=(1e-9,))
    opened = backbones[family][1]
    method = Attention(weights="loss", temperature=0.5, budget=still)
    [cell] = read_adapted(adapt(made[2](method, shots=(2,)), runs=tmp_path, opened=opened).outputs)
    losses = []
    for name in SOURCES:
        begun = made[2](PromptTuning(budget=still), shots=(2,), start_from=made[0] / "outputs" / f"{name}.safetensors")
        [alone] = read_adapted(adapt(begun, runs=tmp_path, opened=opened).outputs)
        losses.append(alone.loss)
    expected = torch.softmax(-torch.tensor(losses) / 0.5, dim=0).tolist()
    assert [value for name in SOURCES for value in cell.weights[name]] == pytest.approx(expected, rel=1e-4)
    assert abs(expected[0] - 0.5) > 1e-3


@pytest.mark.parametrize("name", ["attention", "routing", "routing, experts"])
def test_an_interrupted_run_ends_as_a_straight_one(name, made, family, backbones, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    @contextmanager
    def dying(stage, total):
        steps = []

        def advance(count=1, **values):
            steps.append(count)
            if len(steps) == 2:  # the first step is saved after it was reported
                raise Killed

        yield advance

    monkeypatch.setattr("clinprompt.training.loop.train.__kwdefaults__", {**train.__kwdefaults__, "save_every": 0.0})
    opened, settings = backbones[family][1], made[2](METHODS[name], shots=(2,))
    with pytest.raises(Killed):
        adapt(settings, runs=tmp_path / "one", opened=opened, progress=dying)
    assert list(tmp_path.rglob("gang.safetensors"))
    resumed = adapt(settings, runs=tmp_path / "one", opened=opened)
    straight = adapt(settings, runs=tmp_path / "other", opened=opened)
    [one], [other] = (read_adapted(run.outputs) for run in (resumed, straight))
    assert one == other
    assert torch.equal(
        load_prompt(resumed.outputs / one.file).vectors, load_prompt(straight.outputs / other.file).vectors
    )


def test_they_are_scored_as_any_prompt(made, family, backbones, data, tmp_path):
    settings, opened = backbones[family]
    run = adapt(made[2](METHODS["attention"], shots=(2,)), runs=tmp_path, opened=opened)
    scoring = EvaluateSettings(
        backbone=settings, adapted=run.path, targets=(data / "meds",), limit=1, answer_tokens=2, resamples=100
    )
    [record] = read_scores(evaluate(scoring, runs=tmp_path, opened=opened).path)
    assert record["method"] == "attention" and record["scores"]


def test_what_a_method_lacks_is_said(made, family, backbones, data, tmp_path):
    taught, metaprompt, asked = made
    opened = backbones[family][1]
    with pytest.raises(ValidationError, match="take `teachers`, the run"):
        asked(Attention(), teachers=None)
    with pytest.raises(ValidationError, match="take `teachers`, the run"):
        asked(PromptTuning(), teachers=taught)
    with pytest.raises(ValidationError, match="routing with `experts: sources`"):
        asked(Routing(), metaprompt=None)
    with pytest.raises(ValidationError, match="routing with `experts: sources`"):
        asked(Routing(experts=2), metaprompt=metaprompt)
    with pytest.raises(ValidationError, match="are for `experts: sources`"):
        Routing(experts=2, weights="loss")
    with pytest.raises(ValidationError, match="the sources' have theirs"):
        Routing(rank=2)
    for method, said in (
        (Routing(segments=5), "cannot have 5 segments"),
        (Routing(experts=2, rank=5), "cannot have 5 components"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            adapt(asked(method), runs=tmp_path, opened=opened)
        assert caught.value.allowed == "1 to 4"
    with pytest.raises(InputError, match="not a finished run of `clinprompt teach`"):
        adapt(asked(Attention(), teachers=data / "meds"), runs=tmp_path, opened=opened)
    with pytest.raises(ValidationError, match="method mpt"):
        asked(Mpt(), metaprompt=None)
