from __future__ import annotations

from pathlib import Path

from clinprompt.data.readers import medquad

SAMPLE = Path(__file__).parents[2] / "samples" / "medquad" / "good"


def test_collections_share_numbers_but_not_names():
    first, second = medquad.read(SAMPLE)
    assert (first.id, second.id) == ("1_A/0000001-1", "2_B/0000001-1")
    assert first.group != second.group
    assert second.metadata == {"focus": "Asthma & cough", "source": "NIH", "question type": "information"}


def test_answers_that_the_publisher_removed_are_counted_or_kept():
    assert medquad.read(SAMPLE)[0].metadata["pairs without an answer"] == "1"
    kept = medquad.read(SAMPLE, unanswered=True)
    assert [example.answer.text for example in kept][1] == "" and len(kept) == 3


def test_layout_of_the_page_is_kept_on_request():
    assert medquad.read(SAMPLE, unfold=False)[0].answer.text == "A disease\n   of the <airways>.\n\n  It lasts."
