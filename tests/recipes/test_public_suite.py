"""The public suite: 21 + 10 tasks, and a leakage check that finds by itself which corpora share documents.

The expected overlaps are those that the corpora's manifest lists: counted on document ids and on whole questions.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clinprompt.data.leakage import Watch
from clinprompt.data.overlap import NoteIndex, compare, without_overlap
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.describing import named_parts
from clinprompt.stages.overrides import load_config
from clinprompt.study.recipe import Recipe
from clinprompt.tasks.catalog import load_task

RECIPE = load_config(Path(__file__).parents[2] / "recipes" / "public-suite.yaml", Recipe, {})

BC5CDR_BIORED = {
    ("train", "train"): 41, ("train", "dev"): 10, ("train", "test"): 10,
    ("dev", "train"): 44, ("dev", "dev"): 6, ("dev", "test"): 11,
    ("test", "train"): 53, ("test", "dev"): 16, ("test", "test"): 13,
}  # fmt: skip


def indexed(data, *names):
    return {part: NoteIndex(held) for name in names for part, held in named_parts(name, data_root=data).items()}


def test_21_sources_and_ten_targets_of_other_corpora():
    sources, targets = ([load_task(name) for name in names] for names in (RECIPE.sources.tasks, RECIPE.targets))
    assert (len(sources), len(targets)) == (21, 10) and RECIPE.sources.exclude_overlap
    kinds = Counter(task.kind for task in sources)
    assert [kinds[kind] for kind in TaskKind] == [8, 3, 4, 3, 3]
    assert {task.kind for task in targets} == set(TaskKind)
    assert not {task.data.root for task in sources} & {task.data.root for task in targets}
    # What is adapted to needs examples to learn from: medqa-usmle and mmlu-medical have test questions only.
    assert all({"train", "all"} & set(task.data.parts) for task in (*sources, *targets))


def test_abstracts_of_two_corpora_are_found_by_their_words(shared_data):
    found = compare(indexed(shared_data, "bc5cdr-cid", "biored-relations"), within=False)
    assert {(pair.first[1], pair.second[1]): pair.groups for pair in found} == BC5CDR_BIORED


def test_consumers_questions_of_two_corpora_are_found(shared_data):
    parts = {
        part: held
        for name in ("meqsum", "mediqa-rqe")
        for part, held in named_parts(name, data_root=shared_data).items()
    }
    found = list(compare({part: NoteIndex(held) for part, held in parts.items()}, within=False))
    # 18 are the same but for case and blanks; one more differs in punctuation.
    assert sum(pair.normalised for pair in found) == 18
    asked, told = (
        NoteIndex([example for (task, _), held in parts.items() if task == name for example in held])
        for name in ("meqsum", "mediqa-rqe")
    )
    assert len(asked.near(told, share=1)) >= 19


def seen(data, scored, *others, **options):
    """What of a task's test part stands in the training and development parts of others."""
    watch = Watch(named_parts(scored, data_root=data)[scored, "test"], **options)
    for other in others:
        parts = named_parts(other, data_root=data)
        watch.see(NoteIndex([example for (_, part), held in parts.items() if part != "test" for example in held]))
    return watch.leak()


def test_the_leakage_report_finds_the_listed_overlaps_by_itself(shared_data):
    # One example an abstract: 10 test abstracts of BioRED are in BC5CDR's train and 11 in its dev part.
    biored = named_parts("biored-relations", data_root=shared_data)["biored-relations", "test"]
    abstract_of = {example.id: example.group for example in biored}
    found = seen(shared_data, "biored-relations", "bc5cdr-cid")
    assert len({abstract_of[name] for name in found.examples}) == sum(
        BC5CDR_BIORED[other, "test"] for other in ("train", "dev")
    )
    assert seen(shared_data, "biored-relations", "ncbi-disease").near == 1
    exams = seen(shared_data, "headqa", "medmcqa")
    assert exams.normalised == 1 == len(exams.examples)
    assert seen(shared_data, "scinli", "scinli", same_groups=True).normalised == 0


def test_parts_of_one_corpus_that_share_no_pair(shared_data):
    assert not [pair for pair in compare(indexed(shared_data, "scinli")) if pair.normalised]


@pytest.mark.slow
def test_every_listed_overlap_is_found_and_nothing_of_a_target_is_left_in_a_source(shared_data):
    names = [*RECIPE.sources.tasks, *RECIPE.targets, "mmlu-medical"]
    examples = {part: held for name in names for part, held in named_parts(name, data_root=shared_data).items()}
    parts = {part: NoteIndex(held) for part, held in examples.items()}
    same: Counter[tuple[str, str]] = Counter()
    near: Counter[tuple[str, str]] = Counter()
    for pair in compare(parts, within=False):
        same[pair.first[0], pair.second[0]] += pair.normalised
        near[pair.first[0], pair.second[0]] += pair.near_second
    assert same["medmcqa", "headqa"] >= 1 and same["medmcqa", "mmlu-medical"] >= 1
    assert near["ncbi-disease", "biored-relations"] >= 11 and near["bc5cdr-entities", "biored-entities"] >= 204
    assert same["e3c-entities", "maccrobat-entities"] == 0
    held_out = {name: parts[name, "test"] for name in RECIPE.targets}
    taken: Counter[str] = Counter()
    for (name, part), held in examples.items():
        if name not in RECIPE.sources.tasks or part == Split.test:
            continue
        kept, counts = without_overlap(held, held_out)
        taken.update({name: sum(counts.values())})
        left = NoteIndex(kept)
        for theirs in held_out.values():
            assert not left.near(theirs) and not left.normalised & theirs.normalised and not theirs.near(left)
    assert taken["medmcqa"] >= 1
