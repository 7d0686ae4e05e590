from __future__ import annotations

import base64
import json

import pytest

from clinprompt.data.fhir_resources import EVIDENCE
from clinprompt.data.writers.fhir import write
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

bundles = pytest.importorskip("fhir.resources.R4B.bundle")
TEXT = "😀 No fever, aspirin, penicillin; MRI, potassium; mother: asthma. Left and right arm pain. \n"
WHEN = "2026-01-31T08:00:00+00:00"
MADE = {"clinprompt": "0.1", "backbone": "b9", "prompts": [{"task": "signs", "version": "2", "sha256": "cd" * 32}]}


def span(label, *words, name="", **attributes):
    places = tuple((TEXT.index(word), TEXT.index(word) + len(word)) for word in words)
    return Span(label, places, name, attributes)


def write_bundle(tmp_path, *spans, relations=(), **options):
    note = Document("n 1", TEXT, spans, relations, "p/7")
    options = {"recorded": WHEN, "overwrite": True, **options}
    lost = write([note, Document("n2", "")], tmp_path / "b.json", **options)
    bundle = json.loads((tmp_path / "b.json").read_text())
    bundles.Bundle.model_validate(bundle)
    return lost, [entry["resource"] for entry in bundle["entry"]], bundle


def code(resource, field):
    return resource[field]["coding"][0]["code"]


def test_mentions_become_resources_with_their_evidence(tmp_path):
    lost, made, bundle = write_bundle(
        tmp_path,
        span("Problem", "fever", assertion="absent"),
        span("Drugs", "aspirin", Negated=""),
        span("Allergy", "penicillin"),
        span("Procedure", "MRI", temporality="historical"),
        span("Test", "potassium"),
        span("Problem", "asthma", experiencer="mother"),
        span("Sign_symptom", "Left", "arm pain", certainty="possible"),
        provenance=MADE,
    )
    assert lost == {}
    note, empty = [one for one in made if one["resourceType"] == "DocumentReference"]
    attachment = note["content"][0]["attachment"]
    assert base64.b64decode(attachment["data"]).decode() == TEXT and attachment["size"] == len(TEXT.encode())
    assert note["identifier"] == [{"value": "n 1"}] and "data" not in empty["content"][0]["attachment"]
    fever, aspirin, penicillin, mri, potassium, asthma, pain = made[1:8]
    assert (fever["resourceType"], code(fever, "verificationStatus")) == ("Condition", "refuted")
    assert (aspirin["resourceType"], aspirin["status"]) == ("MedicationStatement", "not-taken")
    assert (penicillin["resourceType"], code(penicillin, "verificationStatus")) == ("AllergyIntolerance", "unconfirmed")
    assert code(penicillin, "clinicalStatus") == "active"
    assert (mri["resourceType"], mri["status"]) == ("Procedure", "completed")
    assert (potassium["resourceType"], potassium["status"], "valueBoolean" in potassium) == (
        "Observation", "preliminary", False,
    )  # fmt: skip
    assert (asthma["resourceType"], asthma["relationship"]["text"]) == ("FamilyMemberHistory", "mother")
    assert asthma["condition"][0]["code"]["text"] == "asthma"
    assert (code(pain, "verificationStatus"), pain["code"]["text"]) == ("provisional", "Left arm pain")
    owners = [resource.get("subject", resource.get("patient")) for resource in made[:-1]]
    assert owners[:8] == [{"type": "Patient", "identifier": {"value": "p/7"}}] * 8
    evidence = [{part["url"]: list(part.values())[1] for part in one["extension"]} for one in pain["extension"]]
    assert [one["url"] for one in pain["extension"]] == [EVIDENCE] * 2
    assert ["".join(TEXT[at["offset"] : at["offset"] + at["length"]]) for at in evidence] == ["Left", "arm pain"]
    assert {at["reference"]["reference"] for at in evidence} == {bundle["entry"][0]["fullUrl"]}
    run = made[-1]
    assert run["resourceType"] == "Provenance" and run["recorded"] == WHEN
    assert [target["reference"] for target in run["target"]] == [entry["fullUrl"] for entry in bundle["entry"][1:8]]
    assert run["agent"][0]["who"]["display"] == "clinprompt 0.1; signs 2 cdcdcdcdcdcd; backbone b9"
    assert [entity["role"] for entity in run["entity"]] == ["source", "source", "derivation"]


def test_what_the_bundle_does_not_say_is_counted(tmp_path):
    lost, made, _ = write_bundle(
        tmp_path,
        span("Problem", "fever", name="T1", assertion="hypothetical"),
        span("Problem", "asthma", experiencer="mother", negated="yes"),
        span("Dose", "aspirin", name="T2"),
        span("Drug", "aspirin", assertion="possible", route="by mouth"),
        span("Problem", "\n"),
        relations=(Relation("r", "T1", "T2"),),
        embed=False,
    )
    assert lost == {
        "attributes": 1, "blank": 1, "hypothetical": 1, "labels without a resource": 1, "negated of other persons": 1,
        "relations": 1, "texts": 2, "uncertainty": 1,
    }  # fmt: skip
    assert [one["resourceType"] for one in made] == [
        "DocumentReference", "MedicationStatement", "DocumentReference", "Provenance",
    ]  # fmt: skip
    assert "data" not in made[0]["content"][0]["attachment"]


def test_what_is_to_come_is_no_fact(tmp_path):
    lost, made, _ = write_bundle(
        tmp_path,
        span("Drug", "aspirin", temporality="future"),
        span("Procedure", "MRI", Planned=""),
        span("Problem", "fever", temporality="future"),
        span("Procedure", "MRI", temporality="future", experiencer="mother"),
        span("Problem", "asthma", polarity="NEG", modality="FACTUAL"),
    )
    assert lost == {"future": 2}
    assert [one.get("status") for one in made[1:3]] == ["intended", "preparation"]
    assert code(made[3], "verificationStatus") == "refuted" and len(made) == 4 + 2


def test_concepts_become_codings(tmp_path):
    lost, made, _ = write_bundle(
        tmp_path,
        span("Drug", "aspirin", concept="RxNorm:1191,ATC:N02BA01", **{"concept name": "aspirin\nacetylsalicylic acid"}),
        span("Problem", "fever", concept="SNOMED-CT:386661006,Own:7,bare", assertion="absent"),
        span("Problem", "asthma", concept="icd-10:J45", experiencer="mother"),
        span("Test", "MRI", concept="Own:x  y"),
        systems={"own": "urn:oid:1.2.3"},
    )
    assert lost == {"concepts": 2}
    aspirin, fever, asthma, mri = made[1:5]
    assert aspirin["medicationCodeableConcept"]["coding"] == [
        {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "1191", "display": "aspirin"},
        {"system": "http://www.whocc.no/atc", "code": "N02BA01", "display": "acetylsalicylic acid"},
    ]
    assert [one["code"] for one in fever["code"]["coding"]] == ["386661006", "7"]
    assert code(asthma["condition"][0], "code") == "J45" and mri["code"] == {"text": "MRI"}


def test_relations_become_reasons_and_dosages(tmp_path):
    lost, made, bundle = write_bundle(
        tmp_path,
        span("Drug", "aspirin", name="T1"), span("Problem", "arm pain", name="T2"), span("Dose", "MRI", name="T3"),
        span("Route", "Left", name="T4"), span("Problem", "fever", name="T5", assertion="absent"),
        span("Procedure", "MRI", name="T6"), span("Dose", "asthma", name="T7"), span("Dose", "fever", name=""),
        relations=(
            Relation("Strength-Drug", "T4", "T1"), Relation("Strength-Drug", "T3", "T1"), Relation("of", "T1", "T3"),
            Relation("Reason-Drug", "T2", "T1"), Relation("reason", "T1", "T2"), Relation("reason", "T1", "T5"),
            Relation("TrAP", "T6", "T2"), Relation("next to", "T6", "T2"), Relation("of", "T7", "T2"),
        ),
    )  # fmt: skip
    assert lost == {"labels without a resource": 2, "relations": 3}
    aspirin, pain, fever, mri = made[1:5]
    reason = [{"reference": bundle["entry"][2]["fullUrl"]}]
    assert aspirin["dosage"] == [{"text": "MRI Left"}] and aspirin["reasonReference"] == reason
    assert mri["resourceType"] == "Procedure" and mri["reasonReference"] == reason
    assert "reasonReference" not in pain and "reasonReference" not in fever


def test_labels_become_what_the_user_says(tmp_path):
    _, made, _ = write_bundle(
        tmp_path, span("Dose", "aspirin"), span("Problem", "fever"), resources={"Dose": "Observation", "Problem": ""}
    )
    assert [one["resourceType"] for one in made] == [
        "DocumentReference", "Observation", "DocumentReference", "Provenance",
    ]  # fmt: skip


def test_the_same_notes_give_the_same_bundle_and_units_are_an_option(tmp_path):
    _, _, first = write_bundle(tmp_path, span("Problem", "fever"))
    _, _, again = write_bundle(tmp_path, span("Problem", "fever"))
    assert first == again
    _, made, _ = write_bundle(tmp_path, span("Problem", "fever"), unit="byte")
    assert made[1]["extension"][0]["extension"][1] == {"url": "offset", "valueInteger": len("😀 No ".encode())}


def test_no_mention_and_no_note_are_valid_bundles(tmp_path):
    _, made, _ = write_bundle(tmp_path)
    assert [one["resourceType"] for one in made] == ["DocumentReference"] * 2
    assert write([], tmp_path / "none.json") == {}
    bundle = bundles.Bundle.model_validate(json.loads((tmp_path / "none.json").read_text()))
    assert bundle.entry is None


@pytest.mark.parametrize(
    ("notes", "options"),
    [
        ([], {"resources": {"A": "Patient"}}),
        ([], {"recorded": "2026-01-31T08:00:00"}),
        ([], {"recorded": "now"}),
        ([], {"systems": {"MESH": "the headings"}}),
        ([], {"unit": "words"}),
        ([Document("", "x", group="p")], {}),
        ([Document("n", "x"), Document("n", "y")], {}),
    ],
)
def test_bad_input(tmp_path, notes, options):
    with pytest.raises(InputError):
        write(notes, tmp_path / "b.json", **options)
    assert list(tmp_path.iterdir()) == []
