from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clinprompt.stages.leakage import LeakLine
from clinprompt.study.console_table import p_text
from clinprompt.study.legend import SEEN
from clinprompt.study.rank_table import rank_table
from clinprompt.study.report import trained, write_report
from clinprompt.study.table import Line
from tests.study.story import (
    FACTS,
    NOTE,
    SOURCES,
    TARGETS,
    made_up_errors,
    made_up_examples,
    made_up_groups,
    made_up_lines,
)

VOID = {"meta", "link", "br", "hr", "img", "input"}
LEAKS = [
    LeakLine("lab-flag", "lab-flag", "own", "lab-flag", 200, 0, 0, 0, 0, 0, 0, 0.0),
    LeakLine("lab-flag", "lab-flag", "source", "labs <&>", 200, 3, 4, 5, 6, 0, 7, 3.5, ("a", "b")),
]
COMMAND = "clinprompt study run 'a <b>.yaml'"


class Reader(HTMLParser):
    """Checks that elements are balanced and keeps what the tests ask about."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.notes: list[str] = []
        self.text = ""
        self._note_depth = 0

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if dict(attrs).get("aria-label") == "note":
            self.notes.append("")
            self._note_depth = len(self.open)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>, {self.getpos()}"
        self.open.pop()
        if len(self.open) < self._note_depth:
            self._note_depth = 0

    def handle_data(self, data):
        self.text += data
        if self._note_depth:
            self.notes[-1] += data


def report(folder: Path, **changes) -> str:
    groups, differences = made_up_groups(changes.get("lines", made_up_lines()))
    content = {
        "recipe_name": "made <up>", "description": "a & b", "lines": made_up_lines(), "groups": groups,
        "differences": differences, "sources": SOURCES,
        "shown": made_up_examples(), "errors": made_up_errors(), "facts": FACTS, "command": COMMAND,
    }  # fmt: skip
    content |= {"ranks": rank_table(changes.get("lines", made_up_lines()), groups), "leakage": LEAKS}
    write_report(folder / "report.html", **{**content, **changes})
    return (folder / "report.html").read_bytes().decode("utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    return report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def read(html) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_it_is_balanced_html_with_unique_ids(read):
    assert read.open == []
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20
    for name, attributes in read.elements:
        for key in ("href", "xlink:href", "aria-labelledby"):
            if attributes.get(key):
                assert attributes[key].removeprefix("#") in ids, name


def test_it_loads_nothing(html, read):
    assert "http:" not in html and "https:" not in html and "//" not in re.sub(r"</?script>", "", html)
    tags = {name for name, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"url\((?!#)|@import|@font-face", html)
    policy = next(a for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_text_of_notes_is_escaped_and_whole(html, read):
    assert "<script" not in html and "&lt;script&gt;alert(" in html
    assert len(read.notes) == len(made_up_examples())
    assert set(read.notes) == {NOTE}
    assert "made <up>" in read.text and "a & b" in read.text and COMMAND in read.text


def test_every_line_is_there_with_its_interval_and_n(read):
    rows = re.sub(r"\s+", " ", read.text)
    for line in made_up_lines():
        assert f"{line.score:.1f}[{line.low:.1f}–{line.high:.1f}]" in rows.replace(" [", "[")
    full = read.text[read.text.index("All results with what they rest on") :]
    for line in made_up_lines():
        row = (
            f"{line.target}{line.kind}{line.metric}{line.method}{line.shots}{line.score:.1f}"
            f"{line.low:.1f}–{line.high:.1f}{line.spread:.1f}{line.n}{line.documents}{line.seeds}{line.draws}"
        )
        assert row in full
    titles = {attributes.get("title") for name, attributes in read.elements if name == "td"}
    assert "200 examples in 180 documents, 1 seed(s), 3 draw(s), spread over runs 1.2" in titles


def test_relations_given_the_heads_have_a_section_where_there_are_any(html, tmp_path):
    [found] = [line for line in made_up_lines() if (line.method, line.target, line.shots)
               == ("mpt", "cause-of-event-site-b", "full")]  # fmt: skip
    given = replace(found, metric="relation-f1 given the heads", score=99.95)
    assert 'id="heads"' not in html and "given the heads" not in html
    page = report(tmp_path, given_heads=[given])
    section = page[page.index('<h2 id="heads">') :].split("</section>")[0]
    assert f"{found.score:.1f}" in section and f"{given.score:.1f}" in section
    assert page.count("relation-f1 given the heads") == 1  # in the table of every line


def test_one_described_panel_per_target_and_one_key_per_method(read):
    pictures = [attributes for name, attributes in read.elements if name == "svg"]
    described = [attributes["aria-label"] for attributes in pictures if attributes.get("role") == "img"]
    assert len(described) == len(TARGETS) + 3
    for title in ("near · mean of 2 targets. ", "far · mean of 4 targets. ", "all · mean of 6 targets. "):
        assert sum(words.startswith(title) for words in described) == 1
    for target in TARGETS:
        assert sum(words.startswith(f"{target} · ") for words in described) == 1
    assert "mpt, 5 shots: 45.3" in next(words for words in described if words.startswith("cause-of-event"))
    assert len(pictures) - len(described) == 2 * 6
    colours = re.findall(r"var\(--m\d\)", str(read.elements))
    assert len(set(colours)) == 5


def test_groups_and_differences_stand_in_a_section_of_their_own(read):
    groups, differences = made_up_groups(made_up_lines())
    section = re.sub(r"\s+", " ", read.text[read.text.index("By group") : read.text.index("Scores by number")])
    for line in groups.lines:
        assert f"{line.score:.1f} [{line.low:.1f}–{line.high:.1f}]" in section
    shown = [found for found in differences if not found.target]
    assert {"no difference shown", "significantly higher, intervals apart"} < {found.verdict for found in shown}
    for found in shown:
        row = f"{found.group}{found.shots}{found.method}{found.minus}{found.difference:+z.1f}{found.low:+z.1f} to"
        assert row in section and found.verdict in section
    assert "near5mptbetter of the references: prompt-tuning" in section
    single = [found for found in differences if found.target]
    assert section.count("substance-use-site-b") == 1 + sum(found.target == "substance-use-site-b" for found in single)
    assert f"{p_text(shown[0].p)}{p_text(shown[0].p_tasks)}{p_text(shown[0].p_holm)}" in section


def test_tables_have_captions_and_their_heads_a_scope(read):
    names = [name for name, _ in read.elements]
    assert names.count("table") == names.count("caption") >= 5
    assert all(attributes.get("scope") for name, attributes in read.elements if name == "th")


def test_examples_say_what_is_right_missed_and_wrong(read):
    assert "✗ cause-of-event-site-b-17 · mpt, all training examples" in read.text
    for verdict, relation in (("✓ correct", "locatedFever → lung"), ("− missed", "sinceFever → 2 days"),
                              ("+ spurious", "sincelung → 2 days")):  # fmt: skip
        assert verdict + relation in read.text
    assert "left … lung pain" in read.text
    assert "1 not in the note (dropped), 1 with more than one place in the note" in read.text
    assert "1 not readable, cut off by the length limit" in read.text
    assert "no readable answer" in read.text
    assert "A. high" not in read.text  # the options are drawn as a list, once
    assert "B low gold answer" in read.text and "A high predicted" in read.text


def test_sources_parameters_and_unusable_answers(read):
    assert "0.211" in read.text and "0.377" in read.text and "0.295" in read.text
    assert "Teachers: 5,120 parameters, 61 s." in read.text
    assert [row.share for row in trained(made_up_lines(), backbone=1_234_560)][-1] == 100.0
    assert [(row.method, row.most, row.share) for row in trained(made_up_lines(), backbone=None)][1] == (
        "mpt", 1_968, None
    )  # fmt: skip
    assert "100 %" in read.text
    assert "0.5 / 1.2" in read.text
    assert "0.0 / 0.0" not in read.text


def test_errors_stand_by_target_and_label(read):
    section = re.sub(r"\s+", " ", read.text[read.text.index("Errors") : read.text.index("Examples")])
    assert "substance-use-site-b · mpt, all training examples" in section and "lab-flag · lora, 20 shots" in section
    for row in ("Pr<oblem1123145", "high701010", "low302000"):
        assert row in section.replace(" ", "")


def test_the_same_arguments_give_the_same_bytes(html, tmp_path):
    assert report(tmp_path) == html
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_of_nothing_but_one_method_is_whole(tmp_path):
    lines = [line for line in made_up_lines() if line.method == "mpt" and line.shots == "full"]
    html = report(tmp_path, lines=lines, sources=None, shown=[], errors=[], facts={}, description="", command="")
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert 'id="errors"' not in html
    assert "<strong>7" not in html  # one method alone is not the best of anything
    assert "trivial baseline" not in reader.text and "sources of the metaprompt" not in reader.text


def test_an_empty_job_still_gives_a_page(tmp_path):
    html = report(tmp_path, lines=[], sources=None, shown=[])
    assert "How to read this" in html and 'class="scores"' not in html


def few() -> list[Line]:
    """What is quick to draw."""
    return [
        line for line in made_up_lines() if line.shots in ("5", "full") and line.method in ("trivial", "mpt", "lora")
    ]


def test_leaking_cells_are_marked_in_every_table_and_the_leakage_is_told(tmp_path):
    leaking = [replace(line, leakage=7 * (line.target == "lab-flag" and line.method == "mpt")) for line in few()]
    html = report(tmp_path, lines=leaking)
    own = sum(line.leakage > 0 for line in leaking)
    groups, differences = made_up_groups(leaking)
    others = sum(line.leakage > 0 for line in groups.lines) + sum(found.leakage > 0 for found in differences)
    legends = html.count(SEEN)  # a line stands in the grid and in the table of every line
    assert html.count('<a class="low" href="#leakage"') == 2 * own + others + legends and own and others
    assert legends == 5  # under scores, groups, differences, curves and every line
    reader = Reader()
    reader.feed(html)
    text = re.sub(r"\s+", " ", reader.text)
    assert "lab-flagthe source labs <&>72003456" in text  # 7 of 200: 3 the same, 4 but for case, 5 near, 6 similar
    assert "2 pairs of scored and trained-on data were compared" in text and "was not given" in text
    assert "development part, with those of the source labs <&>." in text


def test_a_study_without_leakage_says_so_and_one_that_did_not_look_does_not(tmp_path):
    clean = report(tmp_path, lines=few(), leakage=LEAKS[:1])
    assert "No source was compared: none was prepared here" in clean
    assert "No scored example was found in any of them" in clean and 'href="#leakage"' not in clean
    assert 'id="leakage"' not in report(tmp_path, lines=few(), leakage=())


def test_methods_are_ranked_and_those_alike_named(html):
    text = re.sub(r"\s+", " ", html)
    assert "Mean ranks" in text and "critical difference (Nemenyi, 5 %): " in text
