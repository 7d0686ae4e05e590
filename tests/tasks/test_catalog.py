from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.tasks.catalog import catalog, load_task

MANY = [f"v{number}" for number in range(300)]
GOOD = """
name: drugs
kind: entities
codec: entities
instruction: List the drugs.
labels: [Drug, Dose]
verbalizer: {Drug: drug}
metrics: [span-f1]
"""


def load(tmp_path, text):
    path = tmp_path / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return load_task(path)


def fault(tmp_path, text) -> str:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_a_task_loads_by_path(tmp_path):
    task = load(tmp_path, GOOD)
    assert (task.name, task.labels, task.words("Drug"), task.words("Dose")) == (
        "drugs",
        ("Drug", "Dose"),
        "drug",
        "Dose",
    )


@pytest.mark.parametrize("name", list(catalog()))
def test_every_file_of_the_catalogue_loads_under_its_own_name(name):
    assert load_task(name).name == name


def test_near_matches_are_offered_for_an_unknown_name():
    with pytest.raises(InputError, match=r"(?i)did you mean pubmedqa"):
        load_task("pubmed-qa")


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yaml"):
        load_task(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("labels: [no, yes]", "labels.0"),
        ("verbalizer: {Drug: no}", "verbalizer.Drug"),
        ("name: off", "name"),
        ("verbalizer: {no: Drug}", "verbalizer.key False"),
    ],
)
def test_unquoted_no_is_explained(tmp_path, line, field):
    message = fault(tmp_path, GOOD + line)
    assert field in message and "quote it" in message.casefold()


@pytest.mark.parametrize("line", ["labels: [Drug, 2]", "licence: 2019-01-14", "description: 1.5"])
def test_unquoted_numbers_and_dates_are_explained(tmp_path, line):
    assert "quote it" in fault(tmp_path, GOOD + line).casefold()


def test_all_faults_are_shown_together(tmp_path):
    message = fault(tmp_path, "name: x\nkind: entity\nlabels: [no]\ncolour: red\n")
    assert message.splitlines()[0].startswith("6 faults")
    for part in (
        "kind",
        "labels.0",
        "'colour'",
        "'codec' is missing",
        "'instruction' is missing",
        "'metrics' is missing",
    ):
        assert part in message


def test_labels_of_a_corpus_may_be_left_out_and_relations_renamed(tmp_path):
    task = load(
        tmp_path,
        GOOD
        + "kind: relations\ncodec: relations\nlabels: [Drug, Dose]\nrelations: {of: {head: [Drug], tail: [Dose]}}\n"
        "data: {reader: brat, label_map: {a: Drug, b: '', dose-of: of}}",
    )
    assert task.data.label_map == {"a": "Drug", "b": "", "dose-of": "of"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("codec: entitis", "named 'entitis'"),
        ("codec: choices", "does not fit the kind"),
        ("labels: []\nverbalizer: {}", "needs labels"),
        ("labels: [Drug, Drug]\nverbalizer: {}", "two labels share"),
        ("verbalizer: {Drug: ' '}", "no words"),
        ("verbalizer: {Drug: Dose}", "two labels share"),
        ("verbalizer: {Virus: v}", "does not have"),
        ("kind: relations\ncodec: relations", "needs the field 'relations'"),
        ("kind: relations\ncodec: relations\nrelations: {of: {head: [], tail: [Drug]}}", "relations.of.head"),
        (
            "kind: relations\ncodec: relations\nrelations: {of: {head: [Drug], tail: [Virus]}}",
            "relations.of.tail",
        ),
        (
            "kind: relations\ncodec: relations\nverbalizer: {a: x, b: x}\nrelations: {a: {head: [Drug], tail: [Drug]}, b: {head: [Drug], tail: [Drug]}}",
            "two relations share",
        ),
        ("data: {reader: brat, parts: {training: {}}}", "unknown parts"),
        ("data: {reader: brat, parts: {all: {}}}", "data.split"),
        ("data: {reader: brat, label_map: {a: Virus}}", "label_map"),
        ("data: {reader: brat, window: 10}", "data.window"),
        (
            "kind: inference\ncodec: labels\ndata: {reader: scinli, window: 300}",
            "entities, relations and questions",
        ),
        ("attributes: {a: {values: [x]}}", "attributes.a.values"),
        ("attributes: {a: {values: [x, y], of: [Virus]}}", "attributes.a.of names"),
        ("attributes: {a: {values: [x, y], usual: z}}", "attributes.a.usual is 'z'"),
        ("attributes: {a: {values: [x, y], usual: x}, b: {values: [y, z], usual: z}}", "share the same words"),
        (f"attributes: {{a: {{values: [{', '.join(MANY)}]}}}}", "300 combinations"),
        ("kind: inference\ncodec: labels\nattributes: {a: {values: [x, y]}}", "the codecs 'entities' and 'relations'"),
        ("about: {attribute: a, of: [Drug]}", "with the codec 'labels'"),
        (
            "kind: question-answering\ncodec: labels\nabout: {attribute: a, of: [Virus], usual: maybe}",
            "about.usual is 'maybe'",
        ),
        ("data: {reader: brat, attribute_map: {a: {b: c}}}", "data.attribute_map names 'a'"),
        (
            "attributes: {a: {values: [x, y]}}\ndata: {reader: brat, attribute_map: {a: {b: z}}}",
            "data.attribute_map.a maps to ['z']",
        ),
    ],
)
def test_contradictions_are_named(tmp_path, lines, message):
    # A later line of a YAML mapping replaces an earlier one of the same key; the test builds on that.
    assert message in fault(tmp_path, GOOD + lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- a", "not a mapping"),
        ("", "not a mapping"),
        ("a: !!python/name:os.system", "not valid YAML"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path, text, message):
    assert message in fault(tmp_path, text)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_bytes("name: Fi\xe8vre".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        load_task(path)
