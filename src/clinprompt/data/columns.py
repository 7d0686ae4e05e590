"""What the columns of a table, or the fields of records, hold: guessed from their names and a few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clinprompt.data.choices import KEY_FORMS, Choices, chosen_key, lettered

ROLES: dict[str, tuple[str, ...]] = {
    "note": (
        "note", "text", "notetext", "reporttext", "report", "document", "context", "passage", "dialogue", "sentence1",
        "premise", "chq", "src", "source", "input", "abstract", "article", "body", "sentence",
    ),
    "question": ("question", "query"),
    "hypothesis": ("hypothesis", "sentence2", "claim", "statement"),
    "label": (
        "goldlabel", "label", "class", "category", "answeridx", "answerindex", "finaldecision", "entailment", "verdict",
    ),
    "text": (
        "summary", "target", "tgt", "output", "response", "completion", "impression", "highlights", "answer",
    ),
    "id": ("id", "pairid", "noteid", "rowid", "uid", "encounterid", "index", "qid", "pmid", "docid"),
    "group": ("group", "patient", "patientid", "subjectid", "personid", "mrn"),
}  # fmt: skip
"""Names that columns of each kind go by (lower case, letters and digits only), the likelier first."""

_OPTION_LISTS = ("options", "choices")
_OPTION_ROWS = (("opa", "opb", "opc", "opd", "ope"), ("a", "b", "c", "d", "e"), ("optiona", "optionb", "optionc",
                "optiond", "optione"), ("ending0", "ending1", "ending2", "ending3"))  # fmt: skip


def roles(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Options for a reader that names fields (:class:`clinprompt.data.fields.Fields`); ``None`` when no field is
    known for the note, or the form of the right option's key cannot be told.

    >>> roles([{"sentence1": "He has asthma.", "sentence2": "He is ill.", "gold_label": "entailment"}])
    {'note': 'sentence1', 'hypothesis': 'sentence2', 'label': 'gold_label'}
    """
    plain = {_plain(name): name for name in rows[0] if all(name in row for row in rows)}
    found: dict[str, Any] = {}
    for role, names in ROLES.items():
        name = next((plain[known] for known in names if known in plain and plain[known] not in found.values()), None)
        if name is not None:
            found[role] = name
    options = _options(plain, rows)
    if "note" not in found and "question" in found:
        found["note"] = found.pop("question")
    if "note" not in found:
        return None
    found = {role: found[role] for role in ROLES if role in found}  # the note first, also when it was the question
    if options is not None:
        found["options"] = options
        found.setdefault("label", found.get("text", ""))
        form = _key_form([(_choices(row, options), str(row.get(found["label"]))) for row in rows])
        if not found["label"] or form is None:
            return None
        if form != "letter":
            found["key"] = form
    if "label" in found:  # the words of the right option, or an explanation of the class
        found.pop("text", None)
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _options(plain: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str | list[str] | None:
    for known in _OPTION_LISTS:
        if known in plain and isinstance(rows[0][plain[known]], list | dict):
            return plain[known]
    for names in _OPTION_ROWS:
        if all(name in plain for name in names[:3]):
            return [plain[name] for name in names if name in plain]
    return None


def _choices(row: Mapping[str, Any], options: str | list[str]) -> Choices:
    if isinstance(options, list):
        return lettered([str(row[name]) for name in options if row.get(name) not in (None, "")])
    value = row.get(options)
    return tuple(value.items()) if isinstance(value, dict) else lettered(value if isinstance(value, list) else [])


def _key_form(pairs: Sequence[tuple[Choices, str]]) -> str | None:
    """The one form in which all rows name an option; numbers that fit both ways are no guess."""
    fitting = [form for form in KEY_FORMS if all(chosen_key(choices, value, form=form) for choices, value in pairs)]
    return fitting[0] if len(fitting) == 1 or fitting[:1] == ["letter"] else None
