"""A study taken apart: parts, gangs, cells, and keys that say when two results are the same one."""

from __future__ import annotations

import json

import pytest

from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.stages.importing import import_data
from clinprompt.stages.methods import Attention, FineTuning, Lora, Mpt, PromptTuning, Spot
from clinprompt.stages.overrides import load_config
from clinprompt.study.expansion import partitions_of, parts_of, planned, searched, shard_of, slug
from clinprompt.study.plan import grid, incomparable, too_many_shots
from clinprompt.study.recipe import SourceTraining
from clinprompt.study.study_file import Partition, Search, Study
from clinprompt.tasks.catalog import load_task
from tests.made_notes import write_notes

SOURCES = ("medications", "problems", "drug-route", "impression")
TARGETS = ("substance-use-site-b", "drug-route-site-b")


def made(**fields):
    given = {
        "name": "made", "tasks": Partition(sources=SOURCES, targets=TARGETS), "sources": SourceTraining(),
        "methods": {"instruction": {"kind": "instruction"}, "mpt": Mpt(), "prompt-tuning": PromptTuning()},
        "shots": (5, "full"), "draws": 2, "seeds": (1, 2),
    }  # fmt: skip
    return Study.model_validate(given | fields)


def test_the_grid_of_one_part():
    [part] = parts_of(made())
    gangs = planned([part])
    assert [(one.gang.method, one.gang.seed) for one in gangs] == [
        ("instruction", 1), ("mpt", 1), ("mpt", 2), ("prompt-tuning", 1), ("prompt-tuning", 2),
    ]  # fmt: skip
    assert [(c.target, c.shots, c.draw) for c in gangs[1].cells] == [
        (target, *where) for target in TARGETS for where in (("5", 0), ("5", 1), ("full", 0))
    ]
    assert [c.shots for c in gangs[0].cells] == ["0", "0"]
    assert len({cell.key for one in gangs for cell in one.cells}) == 2 + 4 * 6


def test_the_axes_name_the_draws_that_the_cells_have():
    for fields, draws in (({}, [0, 1]), ({"own_draws": True}, [0, 1, 2, 3]), ({"draws": 1, "own_draws": True}, [0, 1])):
        parts = parts_of(made(**fields))
        assert grid(parts)["draws"] == draws
        assert {cell.draw for one in planned(parts) for cell in one.cells} == set(draws)


def test_draws_of_its_own_belong_to_a_seed_whichever_others_there_are():
    def cells(**fields):
        gangs = planned(parts_of(made(own_draws=True, **fields)))
        return {(one.gang.method, one.gang.seed): {(c.key, c.shots, c.draw) for c in one.cells} for one in gangs}

    every = cells(seeds=(1, 2, 3))
    assert {draw for _, shots, draw in every["mpt", 3] if shots == "5"} == {4, 5}
    for seeds in ((3,), (3, 1), (2, 3)):
        assert cells(seeds=seeds)["mpt", 3] == every["mpt", 3]
    full = cells(shots=("full",), seeds=(3,))["mpt", 3]  # all examples: no draws, and the name of none
    assert full == {cell for cell in every["mpt", 3] if cell[1] == "full"}
    plain = [cell for one in planned(parts_of(made(shots=("full",), seeds=(3,)))) for cell in one.cells]
    assert {cell.key for cell in plain if cell.shots == "full"} >= {key for key, *_ in full}
    with pytest.raises(ValueError, match=r"a seed is the number of its draws too: 1, 2 …, not 0, -1"):
        made(own_draws=True, seeds=(0, 1, -1))


def test_a_key_changes_with_what_decides_the_result_and_with_nothing_else():
    def keys(study):
        return {(one.part.title, one.gang.method, one.gang.seed): one.key for one in planned(parts_of(study))}

    first, named = keys(made()), keys(made(name="another", description="x", compare={"mpt": ("prompt-tuning",)}))
    assert first == named
    place = ("embedded", "prompt-tuning", 1)
    for change in ({"limits": {"train": 5}}, {"shots": (5,)}, {"prompt": {"length": 8}}, {"score": {"limit": 3}}):
        assert keys(made(**change))[place] != first[place]
    others = keys(made(sources=SourceTraining(rank=2)))
    assert others[place] == first[place]  # prompt-tuning has no sources
    assert others["embedded", "mpt", 1] != first["embedded", "mpt", 1]


def test_what_starts_from_teachers_has_a_key_without_their_distillation():
    def keys(**sources):
        study = made(methods={"spot": Spot(), "attention": Attention()}, sources=SourceTraining(**sources), seeds=(1,))
        return [one.key for one in planned(parts_of(study))]

    first = keys()
    assert keys(rank=2, weight=0.5, distill={"steps": 7}, decomposed=False) == first
    for change in ({"teach": {"steps": 7}}, {"teach_start": "vocabulary"}, {"placement": "prefix"}, {"seed": 2}):
        assert not set(keys(**change)) & set(first)
    assert not set(keys(exclude_overlap=True)) & set(first)


def test_a_cell_has_the_same_key_in_a_study_of_fewer_targets():
    def cells(study):
        return {
            (one.gang.method, one.gang.seed, cell.target, cell.shots, cell.draw): cell.key
            for one in planned(parts_of(study))
            for cell in one.cells
        }

    few = cells(made(tasks=Partition(sources=SOURCES, targets=TARGETS[:1]), shots=(5,)))
    assert few.items() <= cells(made()).items()


def test_parts_that_differ_in_their_sources_share_what_has_none():
    parts = parts_of(made(source_counts=(1, 3)))
    assert [part.title for part in parts] == ["1 source", "3 sources"]
    assert [part.recipe.sources.tasks for part in parts] == [SOURCES[:1], SOURCES[:3]]
    gangs = planned(parts)
    assert [one.part.sources for one in gangs if one.gang.method == "mpt"] == [1, 1, 3, 3]
    assert [one.part.sources for one in gangs if one.gang.method == "prompt-tuning"] == [1, 1]


def test_leaving_a_kind_out_takes_its_sources_away():
    found = partitions_of(made(partitions="leave-one-kind-out"))
    kinds = {name: load_task(name).kind for name in (*SOURCES, *TARGETS)}
    assert sorted(name for one in found.values() for name in one.targets) == sorted(TARGETS)
    for one in found.values():
        assert len({kinds[name] for name in one.targets}) == 1
        assert set(one.sources) == {name for name in SOURCES if kinds[name] is not kinds[one.targets[0]]}
        assert len(one.sources) < len(SOURCES)


@pytest.mark.parametrize(
    "changes", [{"tasks": Partition(sources=SOURCES[:2], targets=TARGETS)}, {"source_counts": (4,)}]
)
def test_leaving_a_kind_out_leaves_sources(changes):
    with pytest.raises(InputError, match=r"sources are left of .*Add sources of other kinds"):
        parts_of(made(partitions="leave-one-kind-out", **changes))


def test_methods_without_a_common_shot_count_are_not_compared():
    compare = {"mpt": ("prompt-tuning", "instruction"), "instruction": ("mpt",)}
    assert incomparable(parts_of(made(compare=compare))[0].recipe) == [("instruction", "mpt")]
    assert not incomparable(parts_of(made(compare=compare, shots=(0, 5)))[0].recipe)


def test_shots_above_the_training_examples_are_known_before(tmp_path):
    assert not too_many_shots(parts_of(made()))
    assert too_many_shots(parts_of(made(limits={"train": 4}))) == dict.fromkeys(TARGETS, (4, [5]))
    folder = import_data(write_notes(tmp_path / "notes"), tmp_path / "meds", name="meds", reader="brat").manifest
    count = folder.parts["train"].examples
    tasks = Partition(sources=SOURCES, targets=(str(tmp_path / "meds"),))
    assert too_many_shots(parts_of(made(tasks=tasks, shots=(count, count + 1)))) == {"meds": (count, [count + 1])}


def test_axes_multiply_and_only_what_varies_is_in_the_title():
    study = made(
        backbones={"a": {"path": "embedded"}, "b": {"path": "embedded", "dtype": "float64"}}, lengths=(4, 8),
        tasks=None, partitions={"near": {"sources": SOURCES, "targets": TARGETS[:1]}},
    )  # fmt: skip
    titles = [part.title for part in parts_of(study)]
    assert titles == ["a, length 4", "a, length 8", "b, length 4", "b, length 8"]
    assert slug(titles[0]) == "a-length-4"


def test_shards_are_disjoint_and_together_all():
    gangs = planned(parts_of(made()))
    shards = [shard_of(gangs, number=number, of=3) for number in (1, 2, 3)]
    assert sorted(one.key for shard in shards for one in shard) == sorted(one.key for one in gangs)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_search_gives_every_method_as_many_rates_round_its_own():
    search = Search(trials=3, step=2.0)
    assert searched(PromptTuning(), search).budget.rates == (0.15, 0.3, 0.6)
    assert searched(Lora(budget={"steps": 7}), search).budget.rates == (0.0015, 0.003, 0.006)
    own = PromptTuning(budget={"rates": (0.1, 0.2, 0.4)})
    assert searched(own, search) == own


@pytest.mark.parametrize("kind", ["grid", "optuna"])
def test_a_search_is_round_the_rate_that_the_method_has_on_the_backbone(tmp_path, kind):
    """Fine-tuning's own is 1e-3 on a decoder, and 1e-4 on an encoder, as that of hard prompts."""
    write_tiny(tmp_path / "encoder", family="bert")
    backbones = {"embedded": {"path": "embedded"}, "encoder": {"path": str(tmp_path / "encoder")},
                 "away": {"path": str(tmp_path / "none")}}  # fmt: skip
    methods = {"fine-tuning": FineTuning(), "own": FineTuning(budget={"rates": (3e-4,) * 3}), "lora": Lora()}
    if kind == "optuna":
        del methods["own"]
    study = made(backbones=backbones, methods=methods, sources=None, search={"kind": kind, "step": 2.0})
    rates = {
        part.backbone: {name: m.budget.rates for name, m in part.recipe.methods.items()} for part in parts_of(study)
    }
    centre = {name: found["fine-tuning"][len(found["fine-tuning"]) // 2] for name, found in rates.items()}
    assert centre == {"embedded": 1e-3, "encoder": 1e-4, "away": 1e-3}
    assert rates["encoder"]["fine-tuning"] == ((5e-5, 1e-4, 2e-4) if kind == "grid" else (1e-4,))
    assert rates["encoder"]["lora"] == rates["embedded"]["lora"]
    assert kind == "optuna" or rates["encoder"]["own"] == (3e-4,) * 3


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"search": {"trials": 2}, "methods": {"pt": {"kind": "prompt-tuning", "budget": {"rates": [0.1]}}}},
         "the same number of tries"),
        ({"source_counts": [9]}, "a partition has 4 sources"),
        ({"sources": None}, "so does routing"),
        ({"compare": {"mpt": ["prompt-tunning"]}}, "prompt-tunning"),
        ({"partitions": {"a": {"targets": ["lab-flag"]}}}, "either `tasks`"),
        ({"tasks": {"sources": ["lab-flag"], "targets": ["lab-flag"]}}, "source and target"),
        ({"metaprompts": {"embedded": "m"}, "sources": None, "lengths": [4]}, "leave out `lengths`"),
        ({"ablation": {"neither": "x", "decomposition": "mpt", "distillation": "mpt", "both": "mpt"}}, "'x'"),
        ({"seedz": [1]}, "seeds"),
        ({"seeds": [1, 2, 1]}, "stand more often: 1"),
        ({"shots": [2, "full", 2]}, "stand more often: 2"),
        ({"shots": [5, -3]}, "shots are 0, 1, 2 … or full, not -3"),
        ({"lengths": [4, 4]}, "stand more often: 4"),
        ({"tasks": {"sources": ["medications"], "targets": ["lab-flag", "lab-flag"]}}, "lab-flag"),
        ({"ablation": {"neither": "mpt", "decomposition": "mpt", "distillation": "instruction", "both": "prompt-tuning"}},
         "four different methods"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_is_refused_in_words(fields, said, tmp_path):
    methods = {name: {"kind": name} for name in ("instruction", "mpt", "prompt-tuning")}
    content = made().model_dump(mode="json", exclude_unset=True) | {"methods": methods} | fields
    (tmp_path / "s.yaml").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / "s.yaml", Study)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"search": {"trials": 5}}, "5 rates each by grid"),
        ({"methods": {"instruction": {"kind": "instruction"}}, "compare": {}}, "no method trains"),
        (
            {"methods": {"pt": {"kind": "prompt-tuning"}, "in-context": {"kind": "in-context"}}},
            "1 of the study file each",
        ),
        (
            {"methods": {"pt": {"kind": "prompt-tuning", "budget": {"rates": (0.1, 1.0)}}, "lora": {"kind": "lora"}}},
            "not equal, rates tried: pt 2, lora 1",
        ),
    ],
)
def test_a_study_says_how_many_rates_were_tried(changes, expected):
    assert made(**changes).searched == expected
