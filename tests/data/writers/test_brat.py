from __future__ import annotations

import pytest

from clinprompt.data.readers.brat import read
from clinprompt.data.writers.brat import write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span


def test_the_form_is_the_one_other_tools_read(tmp_path):
    text = "left\r\nor right arm"
    spans = (
        Span("Side", ((0, 4), (15, 18)), "T1", {"Negated": "", "Sure": "very much"}),
        Span("Part", ((0, 8),), "T2"),
    )
    document = Document("n", text, spans, (Relation("of", "T1", "T2", "R1"),))
    assert write([document], tmp_path / "out") == {}
    assert (tmp_path / "out" / "n.txt").read_bytes() == text.encode()
    assert (tmp_path / "out" / "n.ann").read_text().split("\n") == [
        "T1\tSide 0 4;15 18\tleft arm",
        "T2\tPart 0 8\tleft  or",
        "R1\tof Arg1:T1 Arg2:T2",
        "A1\tNegated T1",
        "A2\tSure T1 very much",
        "",
    ]


def test_what_brat_cannot_hold_is_counted(tmp_path):
    spans = (Span("Drug", ((0, 7),), "d1"), Span("Dose", ((8, 13),), "d2"))
    document = Document("n", "aspirin 81 mg", spans, (Relation("dose", "d2", "d1", "x"),), "p1", {"site": "a"})
    assert write([document], tmp_path / "out") == {"groups": 1, "ids": 3, "metadata": 1}
    (back,) = read(tmp_path / "out")
    assert [span.key for span in back.spans] == [span.key for span in spans]
    assert [(link.label, link.head, link.tail) for link in back.relations] == [("dose", "T2", "T1")]


@pytest.mark.parametrize("name", ["..", "a/../b", "/etc/x", "a//b", "", "a\\b", "a\nb", "a/", "x" * 300])
def test_ids_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="file name"):
        write([Document(name, "Well.", group="g")], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_all_faults_are_shown_and_nothing_is_written(tmp_path):
    bad = [Document(f"n{i}", "Pain", (Span("two words", ((0, 4),), "T1"),)) for i in range(2)]
    with pytest.raises(InputError) as caught:
        write([*bad, Document("N0", "x")], tmp_path / "out")
    assert str(caught.value).count("label") >= 2
    assert "Pain" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
