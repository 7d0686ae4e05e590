from __future__ import annotations

from pathlib import Path

from clinprompt.data.readers import sections

SAMPLE = Path(__file__).parents[2] / "samples" / "sections"


def test_sections_are_stretches_of_the_report():
    report = (SAMPLE / "good/p10/p10000032/s50414267.txt").read_bytes().decode()
    places = sections.sections(report)
    assert list(places) == ["EXAMINATION", "INDICATION", "FINDINGS", "IMPRESSION"]
    assert report[slice(*places["EXAMINATION"])] == "CHEST (PA AND LAT)"
    [example, *_] = sections.read(SAMPLE / "good")
    assert report[example.offset :].startswith(example.note)


def test_a_colon_inside_a_section_is_no_heading():
    report = "FINDINGS: Heart: normal.\nNote: seen LATE: yes.\nIMPRESSION: x"
    assert list(sections.sections(report)) == ["FINDINGS", "IMPRESSION"]


def test_other_sections_can_be_named_and_reports_without_them_left_out():
    found = sections.read(SAMPLE / "good", note="INDICATION", incomplete=True)
    assert [example.note for example in found] == ["___F with cough."] * 2


def test_of_two_sections_with_one_name_the_last_counts():
    report = "IMPRESSION: first\nFINDINGS: f\nIMPRESSION: second"
    start, end = sections.sections(report)["IMPRESSION"]
    assert report[start:end] == "second"


def test_a_report_without_headings_has_no_sections():
    assert sections.sections("No heading here.") == sections.sections("") == {}
