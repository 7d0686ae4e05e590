"""Sources without the documents of a target's test part, through prepare and through the preparation of a recipe."""

import pytest

from clinprompt.data.overlap import NoteIndex
from clinprompt.errors import InputError
from clinprompt.schema.example import Split
from clinprompt.stages.configs import PrepareSettings
from clinprompt.stages.overrides import load_config
from clinprompt.stages.prepare import LEFT_OUT, prepare
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.progress import silent
from clinprompt.study.ingredients import prepare_all
from clinprompt.study.recipe import Recipe

HEADER = "kind: summarisation\ncodec: free_text\ninstruction: Summarise.\nmetrics: [rouge-l]\nlicence: ours\n"
RECIPE = """
name: two
metaprompt: none.safetensors
targets: [{root}/target.yaml]
methods: {{lora: {{kind: lora}}}}
sources: {{exclude_overlap: {exclude}, tasks: [{root}/source.yaml]}}
"""


def note(number: int) -> str:
    return (
        f"Patient {number} came with fever of {number} days and went home after {number} nights without any complaint."
    )


def rows(notes):
    return "note,text,id\n" + "".join(f'"{text}",a,{name}\n' for name, text in notes)


@pytest.fixture
def root(tmp_path):
    """A target with the test notes 10 to 13; a source with notes 0 to 9, parts of 10 and 11, and 12 among other words."""
    (tmp_path / "target").mkdir()
    (tmp_path / "source").mkdir()
    for part, numbers in (("train", range(20, 24)), ("test", range(10, 14))):
        (tmp_path / "target" / f"{part}.csv").write_text(rows((f"t{n}", note(n)) for n in numbers))
    more = [("s10", note(10)[:60].upper()), ("s11", note(11)), ("s12", f"Dear colleague, {note(12)} Yours, Dr X. " * 2)]
    (tmp_path / "source" / "train.csv").write_text(rows([*((f"s{n}", note(n)) for n in range(10)), *more]))
    (tmp_path / "source" / "test.csv").write_text(rows([("s13", note(13))]))
    for name in ("target", "source"):
        parts = "".join(f"    {part}: {{path: {name}/{part}.csv}}\n" for part in ("train", "test"))
        data = f"data:\n  reader: csv_table\n  options: {{note: note, text: text, id: id}}\n  parts:\n{parts}"
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n{HEADER}{data}")
    return tmp_path


def prepared(root, name, **more):
    return prepare(PrepareSettings(task=str(root / f"{name}.yaml"), data_root=root, **more), runs=root / "runs")


def test_documents_of_a_targets_test_part_are_left_out_and_counted(root):
    target = prepared(root, "target")
    run = prepared(root, "source", apart_from=(target.path,))
    source = open_prepared(run.path)
    assert [example.id for example in source.part(Split.train)] == [f"s{n}" for n in range(10)]
    assert [example.id for example in source.part(Split.test)] == ["s13"]  # nothing is learnt from it
    assert run.summary()[LEFT_OUT] == {"train: target": 3}
    left, held_out = NoteIndex(source.part(Split.train)), NoteIndex(open_prepared(target.path).part(Split.test))
    assert not left.near(held_out) and not held_out.near(left)
    whole = prepared(root, "source")
    assert whole.path != run.path and LEFT_OUT not in whole.summary()
    assert prepared(root, "source", apart_from=(target.path,)).path == run.path
    assert "apart_from" not in (whole.path / "config.yaml").read_text()


def test_a_source_that_is_all_in_a_target_is_refused(root):
    target = prepared(root, "target")
    (root / "source" / "train.csv").write_text(rows([("s11", note(11))]))
    with pytest.raises(InputError, match="every training example stands in the test part of a target") as caught:
        prepared(root, "source", apart_from=(target.path,))
    assert "fever" not in str(caught.value)


@pytest.mark.parametrize("exclude", ["true", "false"])
def test_a_recipe_says_what_it_leaves_out(root, exclude):
    (root / "two.yaml").write_text(
        RECIPE.format(root=root, exclude=exclude).replace("metaprompt: none.safetensors\n", "")
    )
    recipe = load_config(root / "two.yaml", Recipe, {}).model_copy(update={"data_root": root})
    said = []
    targets, sources = prepare_all(
        recipe, runs=root / "runs", progress=silent, say=lambda stage, text: said.append(text)
    )
    assert list(targets) == ["target"] and list(sources) == ["source"]
    count = len(sources["source"].part(Split.train))
    told = [text for text in said if "left out" in text]
    assert (count, len(told)) == ((10, 1) if exclude == "true" else (13, 0))
    assert not told or "source.yaml: 3 examples left out, train: target" in told[0]
