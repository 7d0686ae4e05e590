"""A recipe given to a command of studies, and the other way round, is told of by its command, not by its fields."""

from __future__ import annotations

import pytest

from clinprompt.cli import main
from clinprompt.study.file_kind import RECIPE, STUDY, no_recipe, no_study
from clinprompt.study.recipe import Recipe
from clinprompt.study.study_file import Study
from tests.zygote import REPOSITORY

RECIPES = REPOSITORY / "recipes"


def test_the_fields_are_those_of_one_and_not_of_the_other():
    assert set(Recipe.model_fields) - set(Study.model_fields) == RECIPE
    assert set(Study.model_fields) - set(Recipe.model_fields) >= STUDY


@pytest.mark.parametrize(
    ("command", "file", "instead"),
    [
        (["run"], "study-example.yaml", "clinprompt study run"),
        (["study", "plan"], "embedded-near.yaml", "clinprompt run"),
        (["study", "report"], "embedded-near.yaml", "clinprompt run"),
    ],
)
def test_the_other_command_is_named(command, file, instead, capsys):
    with pytest.raises(SystemExit) as ended:
        main.run([*command, str(RECIPES / file)])
    assert ended.value.code == 2
    [said] = capsys.readouterr().err.strip().splitlines()
    assert file in said and said.endswith(f"Run it with `{instead}`.")


def test_a_file_with_fields_of_both_is_told_of_field_by_field():
    for check in (no_recipe, no_study):
        check({"targets": [], "tasks": {}}, "file")
        check({}, "file")
