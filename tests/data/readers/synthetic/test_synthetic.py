"""Synthetic notes: exact places, the same for the same seed, facts with one answer."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.readers.synthetic import read
from clinprompt.data.readers.synthetic.asks import ASKS
from clinprompt.data.readers.synthetic.facts import linked, spans
from clinprompt.data.readers.synthetic.kinds import KINDS
from clinprompt.data.readers.synthetic.style import SECTION_NAMES, SITES
from clinprompt.data.readers.synthetic.vocabulary import DOSES, FREQUENCIES, ROUTES, TERMS
from clinprompt.errors import InputError

LISTED = {
    "drug": "drug",
    "reason": "problem",
    "problem": "problem",
    "negated": "problem",
    "possible": "problem",
    "event": "symptom",
    "lab": "lab",
    "opioid": "opioid",
    "indication": "indication",
    "job": "job",
    "housing": "housing",
    "tobacco": "tobacco",
    "alcohol": "alcohol",
    "illicit": "illicit",
    "finding": "finding",
    "no-finding": "finding",
    "procedure": "procedure",
}


@given(seed=st.integers(0, 10**6), site=st.sampled_from(sorted(SITES)), reserved=st.sampled_from((0.0, 0.5, 1.0)))
def test_every_mention_of_a_term_is_the_whole_term(seed, site, reserved):
    for note in read(n=2, seed=seed, site=site, reserved=reserved):
        for span in note.spans:
            words = span.surface(note.text)
            if span.label in LISTED:
                terms = TERMS[LISTED[span.label]]
                assert words in (
                    *(terms.source if reserved < 1 else ()),
                    *(terms.reserved if reserved else ()),
                )
            if span.label == "dose":
                assert words in DOSES
            if span.label == "route":
                assert words in ROUTES[site]
            if span.label == "frequency":
                assert words in FREQUENCIES[site]
            start, end = span.start, span.end
            assert not note.text[start - 1 : start].isalnum() and not note.text[end : end + 1].isalnum()


@given(seed=st.integers(0, 10**6), site=st.sampled_from(sorted(SITES)), invented=st.sampled_from((0.0, 0.3, 1.0)))
def test_terms_stand_once_and_facts_have_one_value(seed, site, invented):
    for note in read(n=2, seed=seed, site=site, reserved=0.5, invented=invented):
        for span in note.spans:
            if span.label in LISTED or span.label in ("dose", "value", "year"):
                words = re.escape(span.surface(note.text))
                assert len(re.findall(rf"(?<!\w){words}(?!\w)", note.text)) == 1
        for span in spans(note, "drug", "event", "lab", "opioid", "procedure"):
            for relation in (
                "dose",
                "route",
                "reason",
                "cause",
                "value",
                "flag",
                "status",
                "indication",
                "year",
            ):
                assert len(linked(note, relation, span)) <= 1


def test_relations_join_the_right_labels():
    ends = Counter()
    for site in SITES:
        for note in read(n=150, seed=2, site=site):
            ends.update((r.label, note.span(r.head).label, note.span(r.tail).label) for r in note.relations)
    assert {(label, head) for label, head, _ in ends} == {
        *(("dose", "drug"), ("route", "drug"), ("frequency", "drug"), ("reason", "drug")),
        *(("cause", "event"), ("severity", "event"), ("value", "lab"), ("flag", "lab")),
        *(("indication", "opioid"), ("status", "opioid"), ("side", "finding"), ("size", "finding")),
        *(("year", "procedure"), ("duration", "symptom")),
    }
    assert all(tail == label or (label, tail) == ("cause", "drug") for label, _, tail in ends)


def test_orders_nest_and_some_findings_have_two_fragments():
    notes = read(n=200, seed=3, sections=("medications", "imaging"))
    for note in notes:
        for order in spans(note, "order"):
            inside = [s.label for s in note.spans if order.start <= s.start and s.end <= order.end]
            assert sorted(inside) == ["dose", "drug", "frequency", "order", "route"]
    split = [(note, span) for note in notes for span in note.spans if len(span.fragments) == 2]
    assert 10 < len(split) < 200
    for note, span in split:
        side, finding = (note.text[start:end] for start, end in span.fragments)
        assert side in ("left", "right") and finding in TERMS["finding"].source
        assert note.text[span.fragments[0][1] : span.fragments[1][0]] in (" and left ", " and right ")


@pytest.mark.parametrize("site", sorted(SITES))
@pytest.mark.parametrize("ask", [None, *ASKS])
def test_the_same_options_give_the_same_records(ask, site):
    first = read(n=6, seed=4, site=site, reserved=0.5, ask=ask)
    assert first == read(n=6, seed=4, site=site, reserved=0.5, ask=ask)
    assert first != read(n=6, seed=5, site=site, reserved=0.5, ask=ask)
    assert first[:3] == read(n=3, seed=4, site=site, reserved=0.5, ask=ask)


def test_patients_have_several_notes_and_never_cross_seeds_or_sites():
    groups = [{note.group for note in read(n=50, seed=seed, site=site)} for seed in (1, 2) for site in SITES]
    assert all(10 < len(group) < 50 for group in groups)
    assert len(set.union(*groups)) == sum(map(len, groups))
    for note in read(n=40, seed=6, sections=("history",)):
        same = [other for other in read(n=40, seed=6, sections=("history",)) if other.group == note.group]
        assert len({(spans(n, "age")[0].surface(n.text), spans(n, "sex")[0].surface(n.text)) for n in same}) == 1


def test_reserved_terms_appear_only_when_asked_for():
    reserved = {term for terms in TERMS.values() for term in terms.reserved}
    assert not reserved & {term for terms in TERMS.values() for term in terms.source}

    def found(records):
        text = "\n".join(" ".join(record.inputs.values()) for record in records)
        return {term for term in reserved if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text)}

    for ask in ASKS:
        assert not found(read(n=40, seed=7, site="B", ask=ask))
        assert found(read(n=40, seed=7, site="B", reserved=0.5, ask=ask))


@pytest.mark.parametrize("section", SECTION_NAMES)
def test_sections_asked_for_are_there(section):
    for site in SITES:
        assert all(
            section in note.metadata["sections"].split(",")
            for note in read(n=8, seed=8, sections=(section,), site=site)
        )


@pytest.mark.parametrize("site", sorted(SITES))
def test_the_right_option_is_the_linked_value_and_no_other_is_right(site):
    for example in read(n=60, seed=9, site=site, ask="drug-route"):
        options = dict(example.choices)
        drug = re.fullmatch(r"how is (.+) given\?", example.inputs["question"])[1]
        after = example.note[example.note.index(drug) :]
        right = min((option for option in ROUTES[site] if option in after), key=after.index)
        assert options[example.answer.label] == right
        assert len(set(options.values())) == 3
        assert example.inputs["options"] == ", ".join(f"{key} {text}" for key, text in example.choices)


def test_yes_no_answers_follow_from_the_note():
    seen = Counter()
    for example in read(n=200, seed=10, ask="problem-mentioned"):
        term = re.fullmatch(r"any (.+)\?", example.inputs["question"])[1]
        before = example.note.partition(term)[0]
        denied = re.search(r"(denies|no evidence of|no sign of|I never had|I do not have) $", before)
        unsure = re.search(r"(possible|cannot exclude|concern for|I may have|maybe I have) $", before)
        expected = "no" if term not in example.note or denied else "maybe" if unsure else "yes"
        assert example.answer.label == expected
        seen[expected] += 1
    assert min(seen.values()) > 20


def test_statements_about_drugs_follow_from_the_note():
    for example in read(n=150, seed=11, ask="medication-statements"):
        statement = example.inputs["hypothesis"]
        match = re.fullmatch(r"the dose of (.+) is (.+)\.|(.+) is taken (.+)\.", statement)
        drug, value = (match[1], match[2]) if match[1] else (match[3], match[4])
        if drug not in example.note:
            assert example.answer.label == "neutral"
            continue
        order = re.split(r"\.(?:\s|$)", example.note[example.note.index(drug) :])[0]
        holds = re.search(rf" {re.escape(value)}(?!\w)", order) is not None
        assert example.answer.label == ("entailment" if holds else "contradiction")


def test_summaries_use_words_of_the_note_only():
    for example in read(n=60, seed=12, ask="medication-summary", invented=0.3):
        assert all(drug in example.note for drug in example.answer.text.removeprefix("on ").split(", "))
    for example in read(n=60, seed=12, ask="impression"):
        for item in (example.answer.text or "").split(", "):
            assert item == "no acute findings" or all(word in example.note for word in item.split())
    for example in read(n=60, seed=12, site="B", ask="patient-summary"):
        assert example.answer.text.split(", ")[0] in example.note


@pytest.mark.parametrize("site", sorted(SITES))
def test_statements_about_levels_follow_from_the_note(site):
    seen = Counter()
    for example in read(n=150, seed=13, site=site, ask="lab-statements"):
        test, level = re.fullmatch(r"the level of (.+) is (.+)\.", example.inputs["hypothesis"]).groups()
        place = re.search(rf"(?<!\w){re.escape(test)}(?: of| was)? \S+ (\w+)", example.note)
        expected = "unknown" if place is None else "yes" if place[1] == level else "no"
        assert example.answer.label == expected
        seen[expected] += 1
    assert min(seen.values()) > 20


def test_statements_about_problems_follow_from_the_note():
    absent = r"(denies|no evidence of|no sign of|I never had|I do not have) $"
    seen = Counter()
    for example in read(n=200, seed=14, ask="problem-statements"):
        said = re.fullmatch(r"the patient (has|does not have) (.+)\.", example.inputs["hypothesis"])
        before, found, _ = example.note.partition(said[2])
        denied = re.search(absent, before) is not None
        expected = "unclear" if not found else "true" if denied == (said[1] != "has") else "false"
        assert example.answer.label == expected
        seen[expected] += 1
    assert min(seen.values()) > 30


def test_the_culprit_and_the_dose_are_those_of_the_note():
    for example in read(n=80, seed=15, ask="event-cause", invented=0.3):
        event = re.fullmatch(r"what caused the (.+)\?", example.inputs["question"])[1]
        sentences = re.split(r"\.\s|\n", example.note)
        (stated,) = [words for words in sentences if re.search(rf"(?<!\w){event}(?!\w)", words) and "with" not in words]
        options = dict(example.choices)
        assert [key for key, drug in options.items() if drug in stated] == [example.answer.label]
    for example in read(n=80, seed=16, site="B", ask="drug-dose"):
        drug = re.fullmatch(r"how much (.+)\?", example.inputs["question"])[1]
        assert f"{drug} {example.answer.text} " in example.note


@pytest.mark.parametrize("site", sorted(SITES))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_document_reads_like_one(kind, site):
    notes = read(n=20, seed=17, site=site, kinds=(kind,))
    assert {note.metadata["kind"] for note in notes} == {kind}
    for note in notes:
        assert set(note.metadata["sections"].split(",")) <= set(KINDS[kind].sections)
        assert note.text.startswith(KINDS[kind].openings.get(site, ""))
        for span in note.spans:
            assert note.text[span.start : span.end].strip() == note.text[span.start : span.end] != ""
    if kind == "dialogue":
        turns = [line.partition(": ")[0] for note in notes for line in note.text.split("\n")]
        assert Counter(turns)["Patient"] * 2 == len(turns)
    if kind == "patient-question":
        assert all(note.text.endswith("?") and "\n" not in note.text for note in notes)
    if kind == "radiology-report":
        assert all(spans(note, "study") for note in notes)


def test_all_kinds_are_written_and_invented_words_are_in_no_list():
    notes = read(n=200, seed=18, invented=0.5)
    assert set(KINDS) == {note.metadata["kind"] for note in notes}
    listed = {term for terms in TERMS.values() for term in (*terms.source, *terms.reserved)}
    drugs = [span.surface(note.text) for note in notes for span in spans(note, "drug")]
    unlisted = [drug for drug in drugs if drug not in listed]
    assert 0.35 < len(unlisted) / len(drugs) < 0.65


@pytest.mark.parametrize(
    "options",
    [
        {"site": "C"},
        {"sections": ("medication",)},
        {"ask": "drug-rout"},
        {"reserved": 1.5},
        {"invented": -0.1},
        {"kinds": ("discharge",)},
        {"kinds": ("radiology-report",), "sections": ("social",)},
        {"n": -1},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(InputError) as refused:
        read(**{"n": 1, "seed": 1, **options})
    assert "synthetic reader" in str(refused.value)


def test_a_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="Remove the path"):
        read(tmp_path, n=1, seed=1)


def test_misspelt_names_bring_near_matches():
    with pytest.raises(InputError, match="drug-route"):
        read(n=1, seed=1, ask="drug-rout")
