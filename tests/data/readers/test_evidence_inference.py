from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clinprompt.data.readers import evidence_inference
from clinprompt.errors import InputError

SAMPLE = Path(__file__).parents[2] / "samples" / "evidence_inference" / "good"


@pytest.fixture
def release(tmp_path):
    return Path(shutil.copytree(SAMPLE, tmp_path / "annotations"))


def add(release, *rows):
    with (release / "v2_annotations.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows)


def test_the_class_is_that_of_most_valid_rows():
    first, second = evidence_inference.read(SAMPLE)
    assert first.answer.label == "significantly decreased"
    assert first.metadata == {
        "rows": "3",
        "rows not valid": "0",
        "rows of another class": "1",
        "evidence": "16-37 39-49 60-81",
    }
    assert first.note[16:37] == "Pain fell with drug A" and first.note[60:81] == "Sleep did not differ."
    assert first.inputs["question"] == "With respect to pain, how does drug A compare with placebo?"
    # Two spellings of one class; the row that is not valid does not count.
    assert second.answer.label == "significantly increased" and second.metadata["rows not valid"] == "1"


def test_of_equal_numbers_the_first_row_says_the_class(release):
    add(release, "5,2,900,True,True,no significant difference,rose,0,UNK,94,98")
    assert evidence_inference.read(release)[1].answer.label == "significantly increased"
    add(release, "6,2,900,1,True,no significant difference,rose,0,UNK,94,98")
    assert evidence_inference.read(release)[1].answer.label == "no significant difference"


def test_a_prompt_without_a_valid_row_has_no_gold_class():
    assert [example.id for example in evidence_inference.read(SAMPLE)] == ["1", "2"]


def test_parts_are_those_of_the_lists():
    assert len(evidence_inference.read(SAMPLE, part="train")) == 2
    assert evidence_inference.read(SAMPLE, part="test") == []


def test_evidence_that_was_not_found_has_no_place(release):
    add(release, "5,3,900,True,True,no significant difference,elsewhere,0,UNK,-1,-1")
    [*_, third] = evidence_inference.read(release)
    assert (third.id, third.metadata["evidence"]) == ("3", "")
    short = evidence_inference.read(release, passage=40)
    assert third.note.startswith(short[2].note)
    assert "Pain fell" in short[0].note and len(short[0].note) <= 40


def test_an_article_that_is_absent(release):
    (release / "txt_files" / "PMC900.txt").unlink()
    with pytest.raises(InputError, match=r"PMC900\.txt") as caught:
        evidence_inference.read(release)
    assert not hasattr(caught.value, "faults")  # one fault for the article, not one per prompt
    assert evidence_inference.read(release, absent=True) == []


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(InputError, match=r"v2_annotations\.csv"):
        evidence_inference.read(tmp_path)
    with pytest.raises(InputError, match="folder"):
        evidence_inference.read(tmp_path / "x.csv")
