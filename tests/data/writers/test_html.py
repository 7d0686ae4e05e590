from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given, settings

from clinprompt.data.writers.html import Mark, _marks, write
from clinprompt.schema.document import Document, Relation, Span
from tests.data.drawn import documents

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks nesting; gathers the texts of the notes, all tags, and the text of everything else."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.notes: list[str] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))
            if dict(attrs).get("class") == "note":
                self.notes.append("")

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if any(attributes.get("class") == "note" for _, attributes in self.open):
            self.notes[-1] += data
        elif not any(tag == "style" for tag, _ in self.open):
            self.words += data


def page(tmp_path, *notes, **options):
    write(notes, tmp_path / "p.html", overwrite=True, **options)
    found = Page()
    found.feed((tmp_path / "p.html").read_bytes().decode())
    found.close()
    assert not found.open
    return found


@settings(max_examples=25)
@given(documents(identity="<b>&n1", loose=True))
def test_the_note_stands_in_the_page_character_for_character(tmp_path_factory, document):
    found = page(tmp_path_factory.mktemp("page"), document)
    # NUL and a byte order mark are characters that a parser may drop; nothing else is.
    assert found.notes[0].replace("\x00", "\ufffd") == document.text.replace("\x00", "\ufffd")
    assert sum("data-tag" in attributes for tag, attributes in found.tags if tag == "mark") == len(
        document.spans
    ) + len({span.label for span in document.spans})


TEXT = "Left and right <arm> pain"
SPANS = (
    Span("Site", ((0, 4), (15, 20)), "T1", {"side": "left"}),
    Span('P"<x>', ((0, 25),), "T2"),
    Span("Site", ((9, 20),), "T3"),
)
NOTE = Document("n<1>", TEXT, SPANS, (Relation("of", "T1", "T2"),), "p1", {"site": "a"})


def test_a_page_for_everybody(tmp_path):
    found = page(
        tmp_path, NOTE, Document("n2", "Fine."), answers=[{"flag": "<high>"}, {}], provenance={"backbone": "b9"}
    )
    names = [tag for tag, _ in found.tags]
    assert "script" not in names and "link" not in names and "img" not in names
    assert not any(key in attributes for _, attributes in found.tags for key in ("src", "onclick"))
    assert ("html", {"lang": "en"}) in found.tags
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert targets == ["#notes", "#n1", "#n2"] and {target[1:] for target in targets} <= set(ids)
    regions = [attributes for _, attributes in found.tags if attributes.get("role") == "region"]
    assert [(region["tabindex"], region["aria-label"]) for region in regions] == [
        ("0", "Text of n<1>"), ("0", "Text of n2"),
    ]  # fmt: skip
    css = (tmp_path / "p.html").read_text()
    assert "prefers-color-scheme: dark" in css and "@media print" in css and "url(" not in css
    for words in ("Left … <arm>", "0–4, 15–20", "side left", "<high>", "b9", "n<1> of p1"):
        assert " ".join(words.split()) in " ".join(found.words.split())
    assert len(re.findall("<th scope=", css)) == names.count("th")


def test_marks_nest_by_length():
    assert _marks(SPANS, {"Site": "l0", 'P"<x>': "l1"}) == [
        Mark("l0", "Site", ((9, 20),), 0, "Site", "Site"),
        Mark("l0", "Site", ((0, 4), (15, 20)), 1, "Site", "Site: side left"),
        Mark("l1", 'P"<x>', ((0, 25),), 2, 'P"<x>', 'P"<x>'),
    ]


def test_what_is_denied_says_so_in_the_text(tmp_path):
    spans = (
        Span("Problem", ((0, 4),), "T1", {"assertion": "absent", "experiencer": "mother"}),
        Span("Problem", ((9, 14),), "T2", {"side": "right"}),
    )
    found = page(tmp_path, Document("n", TEXT, spans))
    tags = [attributes["data-tag"] for _, attributes in found.tags if attributes.get("data-tag")]
    assert tags == ["Problem", "Problem: absent, mother", "Problem"]


def test_metadata_is_counted(tmp_path):
    assert write([NOTE], tmp_path / "p.html") == {"metadata": 1}
