from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from clinprompt.errors import InputError, InputErrors
from clinprompt.stages.overrides import load_config, parse_set


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PromptTuning(Strict):
    kind: Literal["prompt-tuning"] = "prompt-tuning"
    length: int = Field(16, ge=1)


class Lora(Strict):
    kind: Literal["lora"] = "lora"
    rank: int = 8


class Settings(Strict):
    tasks: tuple[str, ...]
    method: Annotated[PromptTuning | Lora, Field(discriminator="kind")] = PromptTuning()
    learning_rate: float = 0.1
    root: Path = Path("data")
    shots: dict[str, int] = {}
    online: bool = False

    @model_validator(mode="after")
    def _rate_fits(self) -> Settings:
        if self.learning_rate > 10:
            raise ValueError("learning_rate above 10 never trains")
        return self


class Named(Settings):
    """Settings of a file that uses values again."""

    more: dict[str, int]
    listed: tuple[tuple[str, ...], ...]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "adapt.yaml"
    path.write_text(text)
    return path


def test_file_then_overrides(tmp_path):
    path = write(tmp_path, "tasks: [ade, no]\nlearning_rate: 1e-4\nmethod: {kind: lora, rank: 4}\nshots: {a: 5}\n")
    config = load_config(path, Settings, ["method.rank=2", "shots.b=20", "tasks.0=dose", "root=../x"])
    assert config.tasks == ("dose", "no") and config.learning_rate == 1e-4
    assert config.method == Lora(rank=2) and config.shots == {"a": 5, "b": 20} and config.root == Path("../x")


def test_an_override_of_a_value_that_is_named_again_changes_its_own_place_only(tmp_path):
    path = write(tmp_path, "tasks: &t [ade]\nmethod: {kind: lora, rank: 4}\nshots: &s {a: 5, b: 6}\n")
    path.write_text(path.read_text() + "more: *s\nlisted: [*t, *t]\n")
    config = load_config(path, Named, ["shots.a=7", "listed.0.0=dose"])
    assert (config.shots, config.more) == ({"a": 7, "b": 6}, {"a": 5, "b": 6})
    assert (config.tasks, config.listed) == (("ade",), (("dose",), ("ade",)))


def test_without_a_file(tmp_path):
    assert load_config(None, Settings, ["tasks=[ade]", "learning_rate=3e-1"]).learning_rate == 0.3
    assert load_config(write(tmp_path, ""), Settings, ["tasks=[ade]"]).tasks == ("ade",)


def test_all_faults_at_once_with_field_line_and_near_match(tmp_path):
    path = write(tmp_path, "tasks: [ade]\nlerning_rate: 0.1\nmethod:\n  kind: lora\n  ranks: 4\n  rank: two\n")
    with pytest.raises(InputErrors) as caught:
        load_config(path, Settings, ["online=yes"])
    by_what = {fault.what: fault for fault in caught.value.faults}
    misspelt = by_what["there is no field lerning_rate"]
    assert misspelt.where == f"{path} line 2" and misspelt.fix == "did you mean learning_rate?"
    nested = by_what["there is no field method.ranks"]
    assert nested.where == f"{path} line 5" and nested.allowed == "kind, rank" and "rank?" in nested.fix
    assert by_what["method.rank is 'two': it should be a valid integer"].where == f"{path} line 6"
    assert by_what["online is 'yes': it should be a valid boolean"].where == "--set online=yes"


@pytest.mark.parametrize(
    ("text", "sets", "message"),
    [
        ("method: {kind: lora}", [], r"the field tasks is missing"),
        ("tasks: [a]\nmethod: {rank: 3}", [], r"the field method.kind is missing \(.* line 2\)"),
        (
            "tasks: [a]\nmethod: {kind: lara}",
            [],
            r"of the kind 'lara' .*Allowed: prompt-tuning, lora. Did you mean lora",
        ),
        ("tasks: [a]\nlearning_rate: 11", [], r"do not fit together: learning_rate above 10"),
        (
            "tasks: [a]\nmethod: {kind: prompt-tuning, length: 0}",
            [],
            r"method.length is 0: it should be greater",
        ),
        ("tasks: [a]\nlearning_rate: true", [], r"learning_rate is True"),
        ("tasks: [a]\ntasks: [b]", [], r"'tasks' is given twice .* line 2"),
        ("tasks: [a", [], r"not YAML"),
        ("tasks: &a [*a]", [], r"holds itself"),
        ("- a", [], r"must hold fields and values"),
        ("tasks: [a]", ["learning_rate"], r"not an override \(--set learning_rate\). Allowed: a.b.c=value"),
        ("tasks: [a]", ["tasks.3=b"], r"3 is not a position of this list"),
        ("tasks: [a]\nlearning_rate: 1", ["learning_rate.x=b"], r"the part before 'x' is a value"),
        (
            "tasks: [a]",
            ["method.kind=lora", "method.lenght=3"],
            r"no field method.lenght \(--set method.lenght=3\)",
        ),
    ],
)
def test_every_fault_is_named(tmp_path, text, sets, message):
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text), Settings, sets)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_missing_file_is_the_users_fault(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_config(tmp_path / "nothing.yaml", Settings)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1e-4", 1e-4), ("a=0.5", 0.5), ("a=3", 3), ("a=no", "no"), ("a=true", True), ("a=", None),
        ("a=[x, 2]", ["x", 2]), ("a='1e-4'", "1e-4"), ("a=b=c", "b=c"),
    ],
)  # fmt: skip
def test_values_are_what_a_person_means(text, value):
    place, parsed = parse_set(text)
    assert place == ("a",) and parsed == value and type(parsed) is type(value)
