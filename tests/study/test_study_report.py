"""The page, the tables and the figures of a study against made-up scores."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from clinprompt.prompts.card import BackboneIdentity, PromptCard
from clinprompt.study.legend import DAGGER, SEEN
from clinprompt.study.prompt_cards import card_text
from clinprompt.study.study_report import report_study
from tests.study.made_parts import SEEN as LEAK
from tests.study.made_parts import few_lines, made_parts, made_study
from tests.study.story import TARGETS


def seen_by_mpt():
    """The made-up lines; mpt has seen examples of one target, but for 0 shots."""
    return [
        replace(line, leakage=3 * ((line.method, line.target) == ("mpt", "lab-flag") and line.shots != "0"))
        for line in few_lines()
    ]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seen")
    study = made_study()
    found = made_parts(study, seen_by_mpt(), leakage=[LEAK])
    report_study(folder, study, found, [], command="c")
    return folder


def sections(page):
    """The sections of a page by their ids, tags kept."""
    return {re.search(r'id="([\w-]+)"', text)[1]: text for text in page.split("<section ")[1:]}


def rows(section):
    """The rows of all tables of a section as plain text."""
    return [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in re.findall(r"<tr.*?</tr>", section, re.S)
    ]


def test_every_table_of_the_page_marks_what_was_seen_and_explains_it(seen):
    found = sections((seen / "report.html").read_text())
    for name in ("scores", "shots", "differences", "ranks", "ablation", "axes"):
        assert DAGGER in found[name] and SEEN in found[name], name
    [few] = [row for row in rows(found["ablation"]) if row.startswith("small all 5 ")]
    # neither is mpt: its score and all three effects that rest on it, and no other score
    assert re.findall(r"([+-]?\d+\.\d)( †)? \[", few) and few.count(DAGGER) == 4
    assert re.match(r"small all 5 \d+\.\d † \[", few)
    near = [row for row in rows(found["ablation"]) if row.startswith("small near ")]
    assert near and not any(DAGGER in row for row in near)  # no target of that group was seen


def test_figures_mark_what_was_seen_and_explain_it(seen):
    figures = {path.stem: path.read_text() for path in (seen / "figures").glob("*.svg")}
    marked = {name for name, text in figures.items() if DAGGER in text}
    assert {"forest-small", "ranks-small-all-5", "cost-small-5", "shots-small", "shots-small-targets"} <= marked
    assert all(SEEN in figures[name] for name in marked)
    assert f"mpt{DAGGER} (" in figures["ranks-small-all-5"] and f"lora{DAGGER}" not in figures["ranks-small-all-5"]


def test_few_shot_curves_are_files_with_a_panel_per_target_and_one_per_mean(seen):
    means, targets = (seen / "figures" / f"shots-small{kind}.svg" for kind in ("", "-targets"))
    text = targets.read_text()
    assert all(f"{name} · " in text for name in TARGETS) and text.count(DAGGER) == 1 + 1  # a point, and the legend
    assert "200 examples in 180 documents, 1 seed, 1–3 draws" in text
    assert all(f"{title} · mean of" in means.read_text() for title in ("near", "far", "all"))
    assert {path.with_suffix(".png").is_file() for path in (seen / "figures").glob("*.svg")} == {True}


def test_the_page_of_a_part_marks_every_table_too(seen):
    found = sections((seen / "parts" / "small" / "report.html").read_text())
    for name in ("scores", "groups", "curves", "all"):
        assert DAGGER in found[name] and SEEN in found[name], name
    assert [row for row in rows(found["groups"]) if re.match(rf"mpt {DAGGER} \d\.\d\d ", row)]
    [line] = [row for row in rows(found["all"]) if re.match(r"lab-flag \S+ accuracy mpt 5 ", row)]
    assert DAGGER in line
    csv = (seen / "parts" / "small" / "ranks.csv").read_text().splitlines()
    assert csv[0].endswith(",leakage") and {row.split(",")[2] for row in csv[1:] if not row.endswith(",0")} == {"mpt"}


def test_nothing_is_marked_where_nothing_was_seen(tmp_path):
    study = made_study()
    report_study(tmp_path, study, made_parts(study), [], command="c")
    for path in (*tmp_path.rglob("*.html"), *tmp_path.rglob("*.svg"), *tmp_path.rglob("*.tex")):
        text = path.read_text()
        assert DAGGER not in text and "dagger" not in text and SEEN not in text, path.name


def test_the_card_of_a_prompt_marks_what_was_seen():
    card = PromptCard(
        name="lab-flag", method="mpt", placement="suffix", length=3, trainable=96, template="plain", template_hash="h",
        backbone=BackboneIdentity(name="b", fingerprint="f", tokenizer="t", hidden=32),
    )  # fmt: skip
    score = {"metric": "accuracy", "value": 62.5, "low": 50.0, "high": 75.0, "n": 8}
    record = {"scores": [score], "shots": "5", "draw": 0, "seed": 1, "report": {"unreadable": 0, "unlocated": 0}}
    text = card_text(card, record, part="test", leakage=3)
    assert f"| accuracy | 62.5{DAGGER} | 50.0–75.0 | 8 |" in text and f"{DAGGER}: 3 of the scored examples" in text
    assert DAGGER not in card_text(card, record, part="test", leakage=0)
