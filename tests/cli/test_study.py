"""A real study on the embedded backbone through the command line: planned, killed, resumed, sharded, reported."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from clinprompt.backbones.loading import embedded_metaprompt
from clinprompt.stages import adapt as adapt_stage
from tests.made_backbones import tiny_folder

STUDY = f"""
name: tiny
tasks: {{targets: [substance-use-site-b, drug-route-site-b]}}
metaprompts: {{embedded: {embedded_metaprompt()}}}
limits: {{train: 8, dev: 3, test: 3}}
methods:
  mpt: {{kind: mpt, budget: &b {{steps: 2, batch: 2, dev_limit: 2}}}}
  prompt-tuning: {{kind: prompt-tuning, budget: *b}}
search: {{trials: 2}}
compare: {{mpt: [prompt-tuning]}}
shots: [5]
score: {{answer_tokens: 8, resamples: 200}}
leakage: {{notes: 20}}
"""
TAKEN = {"adapt_seconds", "evaluate_seconds", "peak_bytes"}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    return tmp_path / "tiny.yaml"


def at(folder):
    return ("--runs", str(folder / "runs"), "--out", str(folder / "out"))


def table(folder):
    with (folder / "out" / "results.csv").open(newline="") as stream:
        return [{name: value for name, value in row.items() if name not in TAKEN} for row in csv.DictReader(stream)]


def test_killed_in_the_middle_and_resumed_it_ends_as_a_straight_one(study, clinprompt, tmp_path):
    cut, straight = tmp_path / "cut", tmp_path / "straight"
    arguments = [sys.executable, "-m", "clinprompt.cli.main", "study", "run", str(study), *at(cut)]
    worker = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    # The first gang is done and the second one is under way: its folder is there and not finished.
    while worker.poll() is None and not (
        list((cut / "out" / "gangs").glob("*.json")) and len(list((cut / "runs" / "adapt").glob("*/inputs.json"))) > 1
    ):
        assert time.monotonic() < until
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert worker.returncode == -signal.SIGKILL
    assert len(list((cut / "out" / "gangs").glob("*.json"))) == 1

    half = clinprompt("study", "report", str(study), *at(cut), "--json")
    assert half.code == 0 and json.loads(half.out)["missing"] == 2, half.err
    page = (cut / "out" / "report.html").read_text()
    assert "prompt-tuning, seed 1: 2 cell(s): substance-use-site-b at 5 shots, draw 0" in page
    planned = json.loads(clinprompt("study", "plan", str(study), *at(cut), "--json").out)
    assert (planned["cells"], planned["done"], planned["seconds"]) == (4, 2, None)
    assert [line["done"] for line in planned["lines"]] == [1, 0]

    ended = clinprompt("study", "run", str(study), *at(cut), "--json")
    assert ended.code == 0 and json.loads(ended.out)["done"] == 2, ended.err
    for number in "12":  # two shards are the same as one run
        ended = clinprompt("study", "run", str(study), *at(straight), "--shard", f"{number}/2", "--json")
        assert ended.code == 0 and json.loads(ended.out)["gangs"] == 1, ended.err
    for folder in (cut, straight):
        ended = clinprompt("study", "report", str(study), *at(folder), "--json")
        assert ended.code == 0 and json.loads(ended.out)["missing"] == 0, ended.err
    assert table(cut) == table(straight) and len(table(cut)) == 2 + 4
    row = table(cut)[-1]
    assert row["engine"] and row["dtype"] == "float32" and "torch" in row["versions"] and row["seeds"] == "1"
    out = straight / "out"
    with (out / "cells.csv").open(newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert len({cell["key"] for cell in cells}) == len(cells) == 4
    assert {cell["gang"] for cell in cells} == {path.stem for path in (out / "gangs").glob("*.json")}
    assert all(cell["n"] == "3" and cell["seed"] == "1" and cell["versions"] and cell["rate"] for cell in cells)
    assert "\\toprule" in (out / "latex" / "table.tex").read_text()
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".svg"}
    assert len(list((out / "cards").rglob("*.md"))) == 4
    assert (out / "tripod-llm.md").read_text().count("\n| ") == 1 + 19
    assert "Nothing: every cell of the study has a result." in (out / "report.html").read_text()
    opens_quietly(out / "report.html")


def opens_quietly(page):
    """The page in a real browser: no error on the console, nothing asked of any network."""
    sync = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no browser on this machine")
    with sync.sync_playwright() as made:
        browser = made.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page()
        faults, asked = [], []
        tab.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        assert tab.locator("h2").count() >= 7 and tab.locator("svg").count() >= 5
        assert tab.locator("figure svg").first.bounding_box()["width"] > 100
        browser.close()
    assert not faults
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]


def test_what_fails_is_a_gap_and_the_rest_goes_on(study, clinprompt, tmp_path, monkeypatch):
    study.write_text(STUDY.replace("mpt: {kind: mpt,", "mpt: {kind: prompt-tuning, length: 4000,"))
    study.write_text("\n".join(line for line in study.read_text().splitlines() if not line.startswith("metaprompts")))
    ended = clinprompt("study", "run", str(study), *at(tmp_path), "--json")
    found = json.loads(ended.out)
    assert ended.code == 3 and found["done"] == 1, ended.err
    assert "1 of 2 gangs done, 1 failed, 0 cells of others lost; reasons in" in ended.err.replace("\n", " ")
    [gap] = found["gaps"]
    assert gap["method"] == "mpt" and "more than the backbone's context" in gap["reason"]
    ended = clinprompt("study", "report", str(study), *at(tmp_path), "--json")
    assert ended.code == 0 and json.loads(ended.out)["missing"] == 2
    assert "more than the backbone" in (tmp_path / "out" / "report.html").read_text()
    assert [
        line["failed"]
        for line in json.loads(clinprompt("study", "plan", str(study), *at(tmp_path), "--json").out)["lines"]
    ] == [1, 0]

    def secret(*_, **__):
        raise ValueError("text of a note")

    monkeypatch.setattr(adapt_stage, "adapt_prompts", secret)
    [gap] = json.loads(clinprompt("study", "run", str(study), *at(tmp_path), "--json").out)["gaps"]
    assert gap["error"] == "ValueError" and "text of a note" not in (tmp_path / "out" / "gaps.jsonl").read_text()


def test_a_study_whose_runs_are_gone_knows_what_they_took_and_can_fail_again(study, clinprompt, tmp_path, monkeypatch):
    one = [line for line in STUDY.splitlines() if not line.startswith(("metaprompts", "compare", "  mpt"))]
    study.write_text("\n".join(one).replace("*b", "{steps: 2, batch: 2, dev_limit: 2}"))
    ended = clinprompt("study", "run", str(study), *at(tmp_path), "--json")
    assert ended.code == 0, ended.err
    shutil.rmtree(tmp_path / "runs")
    [line] = json.loads(clinprompt("study", "plan", str(study), *at(tmp_path), "--json").out)["lines"]
    assert (line["done"], line["rests_on"]) == (0, "1 finished gang(s)") and line["seconds"] > 0

    monkeypatch.setattr(adapt_stage, "adapt_prompts", lambda *_, **__: 1 / 0)
    ended = clinprompt("study", "run", str(study), *at(tmp_path), "--json")
    assert ended.code == 3 and [gap["error"] for gap in json.loads(ended.out)["gaps"]] == ["ZeroDivisionError"]
    planned = json.loads(clinprompt("study", "plan", str(study), *at(tmp_path), "--json").out)
    assert [line["failed"] for line in planned["lines"]] == [1] and len(planned["gaps"]) == 1


TWINS = """
name: twins
backbones: {tiny: {path: FOLDER}}
tasks: {sources: [medications], targets: [lab-flag]}
sources: {variants: {forgotten: {weight: 0}}}
limits: {train: 2, dev: 1, test: 2}
methods: {one: {kind: instruction}, two: {kind: instruction}}
score: {limit: 2, answer_tokens: 2, likelihood: false, resamples: 100}
"""


def test_methods_with_equal_settings_are_two_lines_and_one_gang(clinprompt, tmp_path):
    study = tmp_path / "twins.yaml"
    study.write_text(TWINS.replace("FOLDER", str(tiny_folder(tmp_path / "backbone", context=4096))))
    told = clinprompt("study", "plan", str(study), *at(tmp_path))
    seen = " ".join((told.out + told.err).split())
    assert told.code == 0 and "as one" in seen and "1 cells in 1 gangs, 0 done" in seen, told.err
    assert seen.count("no method names 'forgotten' of `sources.variants`") == 1
    ended = clinprompt("study", "run", str(study), *at(tmp_path), "--json")
    assert ended.code == 0 and json.loads(ended.out)["gangs"] == 1, ended.err
    assert "no method names 'forgotten'" in " ".join(ended.err.split())
    found = json.loads(clinprompt("study", "plan", str(study), *at(tmp_path), "--json").out)
    assert [(line["method"], line["done"], line["same_as"]) for line in found["lines"]] == [
        ("one", 1, ""), ("two", 1, "one"),
    ]  # fmt: skip
    assert found["lines"][0]["memory"] == found["lines"][1]["memory"] and (found["cells"], found["done"]) == (1, 1)
    ended = clinprompt("study", "report", str(study), *at(tmp_path), "--json")
    assert ended.code == 0 and json.loads(ended.out)["missing"] == 0, ended.err
    rows = {row.pop("method"): row for row in table(tmp_path)}
    assert rows["one"] == rows["two"] and rows["one"]["score"]
    for name in ("report.html", "tripod-llm.md"):
        assert "in our words: check them against the published list" in (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b"])
def test_a_share_that_is_none_is_refused(study, clinprompt, tmp_path, shard):
    ended = clinprompt("study", "run", str(study), *at(tmp_path), "--shard", shard)
    assert ended.code == 2 and "1/8 to 8/8" in ended.err


def test_time_is_measured_when_asked(study, clinprompt, tmp_path):
    one = [line for line in STUDY.splitlines() if not line.startswith(("metaprompts", "compare", "  mpt"))]
    study.write_text("\n".join(one).replace("*b", "{steps: 2, batch: 2, dev_limit: 2}"))
    ended = clinprompt("study", "plan", str(study), *at(tmp_path), "--measure", "--json")
    found = json.loads(ended.out)
    assert ended.code == 0 and found["seconds"] > 0, ended.err
    assert {line["rests_on"] for line in found["lines"]} == {"measured"}
    assert all(line["memory"] > 1e6 for line in found["lines"])
    assert not (tmp_path / "out" / ".measuring").exists() and not (tmp_path / "runs").exists()


def test_the_time_of_teachers_and_metaprompt_is_in_that_of_the_study(study, clinprompt, tmp_path):
    made = "sources: {teach: {steps: 2, batch: 2, dev_limit: 2}, distill: {steps: 2, batch: 2, dev_limit: 2}}"
    text = "\n".join(made if line.startswith("metaprompts") else line for line in STUDY.splitlines())
    study.write_text(text.replace("{targets:", "{sources: [medications, impression], targets:"))
    ended = clinprompt("study", "plan", str(study), *at(tmp_path), "--measure", "--json")
    found = json.loads(ended.out)
    assert ended.code == 0 and [line["stage"] for line in found["sources"]] == ["teach", "distill"], ended.err
    assert [(line["prompts"], line["left"], line["rests_on"]) for line in found["sources"]] == [
        (2, 2, "measured"),
        (1, 1, "measured"),
    ]
    parts = [line["seconds"] for line in (*found["sources"], *found["lines"])]
    assert min(parts) > 0 and found["seconds"] == pytest.approx(sum(parts))
    ended = clinprompt("study", "plan", str(study), *at(tmp_path))
    assert "Before the gangs" in ended.out and re.search(r"teachers +0 of 2 +2 +1", ended.out), ended.out
