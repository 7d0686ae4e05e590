from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.sections import load_rules, sections, standard_rules
from clinprompt.errors import InputError
from tests.data.drawn import texts

HEADS = st.sampled_from(
    ("HPI:", "Allergies: ", "\nPLAN\n", "\n\nSTRANGE THINGS:\n", ". MEDICATIONS: ", "\r\n2. Labs:", "  A/P:", "\n")
)


def found(text, rules=None):
    return [(one.id, text[one.start : one.end].strip()) for one in sections(text, rules)]


@given(text=st.lists(HEADS | texts, max_size=10).map("".join))
def test_every_character_belongs_to_exactly_one_section(text):
    parts = sections(text)
    assert "".join(text[one.start : one.end] for one in parts) == text
    assert all(one.start < one.end for one in parts)
    assert all(one.end == two.start for one, two in pairwise(parts))


def test_headings_of_a_discharge_summary():
    text = (
        "Name: X\n\nCHIEF COMPLAINT:  Chest pain.\n\nHISTORY OF PRESENT ILLNESS:\nA 55 year old man. His plan\nis rest.\n"
        "Past Medical History (PMH):\n1. Diabetes: type 2\n2. Asthma\n\nMedications on admission:\n1. Aspirin 81 mg\n"
        "2. Iron: daily\n\n3. ALLERGIES: none\n\nPHYSICAL EXAM\nHEENT: clear\nBP: 120/80\n\nPRIOR TROUBLES:\nnone\n\n"
        "## Assessment & Plan\nRest. LABS: none. Sodium: 140"
    )
    assert [name for name, _ in found(text)] == [
        "start", "chief-complaint", "hpi", "past-medical-history", "admission-medications", "allergies",
        "physical-exam", "other", "assessment-and-plan", "laboratory",
    ]  # fmt: skip
    parts = dict(found(text))
    assert parts["past-medical-history"].endswith("2. Asthma") and parts["admission-medications"].endswith("daily")
    assert parts["physical-exam"].endswith("BP: 120/80") and parts["laboratory"] == "LABS: none. Sodium: 140"


@pytest.mark.parametrize(
    "text",
    [
        "1. Hypertension: controlled\n2. Asthma: mild",
        "Her allergies: see chart, and the plan: rest",
        "sent home with a\nplan\nto rest",
        "Blood pressure: 120/80\nSODIUM: 140\nHEENT: clear",
        "he has a family history of\ndiabetes and his social history is long",
        "WELL AND ALERT TODAY:\nso we stop",  # in capitals, but not after an empty line
    ],
)
def test_what_is_no_heading(text):
    expected = ["start"] if not text.startswith("WELL") else ["other"]
    assert [name for name, _ in found(text)] == expected
    assert [name for name, _ in found("Seen today.\n" + text)] == ["start"]


def test_a_file_adds_to_the_rules_or_takes_their_place(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("sections:\n  social-history: [Home & Work]\n  vaccines: [immunizations, Impfungen]\n")
    text = "HOME AND WORK: lives alone\nImmunizations: none\nPlan: rest"
    assert [name for name, _ in found(text, load_rules(file))] == ["social-history", "vaccines", "plan"]
    assert [name for name, _ in found(text)] == ["start", "immunizations", "plan"]
    file.write_text("extends: none\nsections:\n  therapy: [plan]\n")
    assert load_rules(file) == {"plan": "therapy"}
    assert load_rules(None) is standard_rules()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sections: {Plan: [plan]}", "field sections.Plan"),
        ("sections: {plan: plan}", "valid list"),
        ("sections: {plan: [no]}", "valid string"),
        ("rules: {}", "field rules"),
        ("- plan", "not as it should be"),
        ("a: [", "not valid YAML"),
        ("sections: {plan: [rest], hpi: [Rest]}", "two sections, plan and hpi"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, said):
    file = tmp_path / "rules.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match=said):
        load_rules(file)
    with pytest.raises(InputError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")


def test_ids_stay_and_each_wording_has_one():
    ids = {"hpi", "medications", "admission-medications", "discharge-medications", "allergies", "family-history"}
    assert ids <= set(standard_rules().values())
    assert all(wording == " ".join(wording.casefold().split()) for wording in standard_rules())


def test_a_long_text_takes_linear_time():
    began = time.process_time()
    sections(
        " " * 50_000 + "\n" * 50_000 + "a" * 50_000 + " A" * 20_000 + ". AAAA AAAA" * 9_000 + "\n\nAB CD\n" * 9_000
    )
    assert time.process_time() - began < 5
