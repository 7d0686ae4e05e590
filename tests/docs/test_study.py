"""The guide to studies: its commands as a user types them, on a smaller copy of the example."""

from __future__ import annotations

import json
import re
import shlex

from clinprompt.data.readers import READERS
from clinprompt.stages.overrides import load_config
from clinprompt.study.expansion import parts_of
from clinprompt.study.study_file import Study
from clinprompt.tasks.catalog import load_task
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)

QUICK = ("seeds=[1]", "draws=1", "limits={train: 8, dev: 2, test: 2}", "score={limit: 2, answer_tokens: 4, resamples: 100}",
         "leakage={notes: 20}", "search.trials=1")  # fmt: skip


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "study.md").read_text(encoding="utf-8")
    monkeypatch.chdir(repository)
    sets = [word for text in QUICK for word in ("--set", text)]
    at = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    said = []
    for line in re.findall(r"```\n(.*?)```", page, flags=re.DOTALL)[0].splitlines():
        ended = clinprompt(*shlex.split(line)[1:], *sets, *at, "--json")
        assert ended.code == 0, (line, ended.err)
        said.append(json.loads(ended.out))
    plan, run, report = said
    assert plan["seconds"] > 0 and run["done"] == run["gangs"] == 3 and report["missing"] == 0
    section = page.split("## The report")[1].split("\n## ")[0]
    for name in re.findall(r"^\| `(.+?)`", section, flags=re.MULTILINE):
        assert (tmp_path / "out" / name.rstrip("/")).exists(), name
    fields = re.findall(
        r"`(\w+)`",
        " ".join(
            re.findall(r"^\| (.*?) \|", page.split("## What the file says")[1].split("##")[0], flags=re.MULTILINE)
        ),
    )
    assert set(fields) == set(Study.model_fields) - {"name", "description", "data_root", "prompt", "metaprompts"}


def test_a_folder_of_ones_own_is_planned_as_it_says(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "study.md").read_text("utf-8").split("## Your own data in a study")[1]
    for name in ("examples", "recipes", "src"):
        (tmp_path / name).symlink_to(repository / name)
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)[0].splitlines():
        ended = clinprompt(*shlex.split(line)[1:], "--json")
        assert ended.code == 0, (line, ended.err)
    found = json.loads(ended.out)
    assert found["missing_data"] == {} and {cell["target"] for cell in found["gangs"][0]["cells"]} == {"my-meds"}


def test_the_papers_study_is_told_as_it_is(repository, tmp_path):
    section = (repository / "docs" / "guides" / "study.md").read_text("utf-8").split("## The paper's study")[1]
    recipe = repository / "recipes" / "paper-llama.yaml"
    plan = load_config(recipe, Study, []).tasks
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (source|target) \| .+ \|$", section, flags=re.MULTILINE)
    told = {name: role for _, _, names, role in rows for name in re.findall(r"`(.+?)`", names)}
    assert told == dict.fromkeys(plan.sources, "source") | dict.fromkeys(plan.targets, "target")
    for folder, files, names, _ in rows:
        for name in re.findall(r"`(.+?)`", names):
            data = load_task(name).data
            assert data.root.split("/")[0] == folder
            first = {f"{data.root}/{options['path']}".split("/")[1] for options in data.parts.values()}
            listed = {name.split("/")[0] for name in re.findall(r"`(.+?)`", files)}
            assert first <= listed or all(name.endswith((".xml", ".xlsx", ".")) for name in first), name
    options = re.findall(r"`--set '?(.+?)'?`", section)
    assert len(options) == 4
    assert [len(parts_of(load_config(recipe, Study, [one]))) for one in options] == [5, 4, 3, 1]
    (tmp_path / "note.jsonl").write_text(re.findall(r"```json\n(.*?)```", section, flags=re.DOTALL)[0])
    [note] = READERS["jsonl"](tmp_path / "note.jsonl")
    task = load_task("opioid-use-relations")
    assert {span.label for span in note.spans} <= set(task.labels)
    assert {link.label for link in note.relations} <= set(task.relations)
