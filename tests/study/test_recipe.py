from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.stages.overrides import load_config
from clinprompt.study.recipe import Recipe

TEXT = """\
name: small
targets: [lab-flag]
methods:
  prompt-tuning text: {kind: prompt-tuning, start: text}
  prompt-tuning vocabulary: {kind: prompt-tuning, start: vocabulary}
  instruction: {kind: instruction}
"""


def load(folder, compare):
    path = folder / "recipe.yaml"
    path.write_text(TEXT + compare)
    return load_config(path, Recipe)


def test_comparisons_are_read_and_may_be_left_out(tmp_path):
    assert load(tmp_path, "").compare == {}
    found = load(tmp_path, "compare: {instruction: [prompt-tuning text, prompt-tuning vocabulary]}\n")
    assert found.compare == {"instruction": ("prompt-tuning text", "prompt-tuning vocabulary")}


@pytest.mark.parametrize(
    "compare, said",
    [
        ("{instruction: [prompt-tuning txt]}", "did you mean prompt-tuning text"),
        ("{instrction: [prompt-tuning text]}", "did you mean instruction"),
        ("{instruction: [instruction]}", "'instruction' needs one or more other methods, each once"),
        ("{instruction: []}", "needs one or more other methods"),
        ("{instruction: [prompt-tuning text, prompt-tuning text]}", "each once"),
    ],
)
def test_a_comparison_names_other_methods_of_the_recipe(tmp_path, compare, said):
    with pytest.raises(InputError) as caught:
        load(tmp_path, f"compare: {compare}\n")
    text = str(caught.value)
    assert said.casefold() in text.casefold() and "line 7" in text and "compare" in text


def test_faulty_methods_are_told_of_by_themselves(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: a\ntargets: [lab-flag]\nmethods: {a: {kind: lorra}}\ncompare: {a: [b]}\n")
    with pytest.raises(InputError, match="lorra"):
        load_config(path, Recipe)


def test_a_target_that_taught_the_metaprompt_is_refused(tmp_path):
    with pytest.raises(InputError, match="source and target of the same recipe: lab-flag"):
        load(tmp_path, "sources: {tasks: [medications, lab-flag]}\n")
