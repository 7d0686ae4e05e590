"""One more source trains one more teacher; the others are what training all of them anew would give."""

from __future__ import annotations

import shutil

import pytest

from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.stages import teach as stage
from clinprompt.stages.configs import BackboneSettings, PrepareSettings, PromptSettings, TeachSettings
from clinprompt.stages.earlier import TAKEN
from clinprompt.stages.methods import Budget
from clinprompt.stages.prepare import prepare
from clinprompt.stages.teach import teach
from tests.zygote import zygote

HERE = "tests.stages.test_taken_teachers"
NAMES = ("lab-flag", "substance-use-site-b", "drug-route")
SHORT = Budget(steps=3, batch=2, rates=(0.05, 0.1), keep="best", dev_every=1, dev_limit=2)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    runs, limits = tmp_path_factory.mktemp("data"), {"train": 5, "dev": 2, "test": 2}
    return tuple(prepare(PrepareSettings(task=name, limits=limits), runs=runs).path for name in NAMES)


@pytest.fixture
def taught(monkeypatch):
    """The tasks whose teachers are trained, in the order of the calls."""
    names: list[str] = []

    def watched(backbone, source, members, *, _train=stage.train, **options):
        names.extend(dict.fromkeys(member.name.partition("@")[0] for member in members))
        return _train(backbone, source, members, **options)

    monkeypatch.setattr(stage, "train", watched)
    return names


def small(settings, sources, **fields):
    return TeachSettings(
        backbone=settings, sources=sources, **{"prompt": PromptSettings(length=3), "budget": SHORT} | fields
    )


def files(run):
    return {path.stem: path.read_bytes() for path in run.outputs.iterdir()}


@pytest.mark.parametrize("layers", ["input", "every"])
def test_one_more_source_trains_one_teacher(layers, settings, opened, sources, taught, tmp_path):
    prompt = PromptSettings(length=3, layers=layers)
    first = teach(small(settings, sources[:2], prompt=prompt), runs=tmp_path, opened=opened)
    grown = small(settings, sources[::-1], prompt=prompt)
    del taught[:]
    run = teach(grown, runs=tmp_path, opened=opened)
    assert taught == [NAMES[2]] and run.summary()["taken"] == {first.id: 2}
    rows, before = run.summary()["teachers"], first.summary()["teachers"]
    assert list(rows) == list(NAMES[::-1]) and {name: rows[name] for name in before} == before
    assert {name: files(run)[name] for name in before} == files(first) and set(files(run)) == set(NAMES)

    alone = teach(grown, runs=tmp_path, opened=opened, force=True)
    assert alone.summary()["taken"] == {} and not (alone.path / TAKEN).exists()
    for name, row in alone.summary()["teachers"].items():
        assert row["member"] == rows[name]["member"]
        assert (row["loss"], row["dev_loss"]) == pytest.approx((rows[name]["loss"], rows[name]["dev_loss"]), rel=1e-9)


def test_fewer_sources_train_nothing(settings, opened, sources, taught, tmp_path):
    unjudged = Budget(steps=2, batch=2, rates=(0.1,))
    first = teach(small(settings, sources, budget=unjudged), runs=tmp_path, opened=opened)
    del taught[:]
    run = teach(small(settings, sources[1:2], budget=unjudged), runs=tmp_path, opened=opened)
    assert run.summary()["teachers"][NAMES[1]]["dev_loss"] is None
    shutil.rmtree(first.path)
    prompt = load_prompt(run.outputs / f"{NAMES[1]}.safetensors", backbone=opened.identity)
    assert not taught and prompt.card.lineage.run == first.id and len(files(run)) == 1


def test_an_encoders_scorers_are_taken_with_its_prompts(data, backbones, taught, tmp_path):
    settings, opened = backbones["bert"]
    prompt = PromptSettings(length=3, placement="prefix")
    first = teach(small(settings, (data / "meds",), prompt=prompt), runs=tmp_path, opened=opened)
    run = teach(small(settings, (data / "drugs", data / "meds"), prompt=prompt), runs=tmp_path, opened=opened)
    assert taught == ["meds", "drugs"] and run.summary()["taken"] == {first.id: 1}
    prompt = load_prompt(run.outputs / "meds.safetensors", backbone=opened.identity)
    assert prompt.heads and files(run)["meds"] == files(first)["meds"]


@pytest.mark.parametrize("change", ["seed", "budget", "length", "start", "data"])
def test_other_settings_or_notes_are_taught(change, settings, opened, sources, taught, tmp_path):
    teach(small(settings, sources[:1]), runs=tmp_path, opened=opened)
    other = prepare(PrepareSettings(task=NAMES[0], limits={"train": 4, "dev": 2, "test": 2}), runs=tmp_path).path
    changed = {
        "seed": {"seed": 2},
        "budget": {"budget": SHORT.model_copy(update={"steps": 2})},
        "length": {"prompt": PromptSettings(length=4)},
        "start": {"start": "vocabulary"},
        "data": {"sources": (other, sources[1])},
    }[change]
    del taught[:]
    run = teach(small(settings, sources[:2]).model_copy(update=changed), runs=tmp_path, opened=opened)
    assert run.summary()["taken"] == {} and taught == list(NAMES[:2])


def test_what_is_taken_stays_when_the_run_is_resumed(settings, opened, sources, taught, tmp_path, monkeypatch):
    first = teach(small(settings, sources[:1]), runs=tmp_path, opened=opened)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "train", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            teach(small(settings, sources[:2]), runs=tmp_path, opened=opened)
    shutil.rmtree(first.path)
    del taught[:]
    run = teach(small(settings, sources[:2]), runs=tmp_path, opened=opened)
    assert run.summary()["taken"] == {first.id: 1} and taught == [NAMES[1]] and len(files(run)) == 2


@pytest.mark.parametrize("harm", ["no summary", "odd summary", "no file"])
def test_a_damaged_run_gives_nothing(harm, settings, opened, sources, taught, tmp_path):
    first = teach(small(settings, sources[:1]), runs=tmp_path, opened=opened)
    match harm:
        case "no summary":
            (first.path / "done.json").write_text("{")
        case "odd summary":
            (first.path / "done.json").write_text('{"summary": {"teachers": {"lab-flag": 3}}}')
        case "no file":
            (first.outputs / f"{NAMES[0]}.safetensors").unlink()
    del taught[:]
    run = teach(small(settings, sources[:2]), runs=tmp_path, opened=opened)
    assert run.summary()["taken"] == {} and taught == list(NAMES[:2]) and set(files(run)) == set(NAMES[:2])


def side_by_side(path: str, sources: list[str], runs: str) -> None:
    """One of two processes: a run, then one of more sources; says what it has taken."""
    from pathlib import Path

    for wanted in (sources[:1], sources):
        found = teach(small(BackboneSettings(path=path), tuple(map(Path, wanted))), runs=Path(runs))
        print(sum(found.summary()["taken"].values()), end=" ")


def test_several_processes_take_the_same(settings, sources, tmp_path):
    given = {"path": settings.path, "sources": [str(path) for path in sources[:2]], "runs": str(tmp_path / "runs")}
    workers = zygote().world(tmp_path / "said", f"{HERE}:side_by_side", size=2, **given)
    assert [zygote().wait(worker) for worker in workers] == [0, 0], workers[0].said
    assert [worker.said for worker in workers] == ["0 1 ", "0 1 "]
