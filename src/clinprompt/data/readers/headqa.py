"""HEAD-QA: multiple-choice questions of Spanish health examinations, five options in train, four in dev and
test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clinprompt.data.choices import chosen_key, lettered, rendered
from clinprompt.data.faults import Faults
from clinprompt.data.files import one_file, parse_json, read_text
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example


def read(path: Path | None, *, images: bool = True) -> list[Example]:
    """Every question as ``note`` with its options under the keys A, B, C, …

    With ``images`` false the questions about a picture (which the corpus does not contain) are left out.
    Raises one :class:`InputError` that lists all questions that cannot be read.
    """
    file = one_file(path, reader="headqa")
    faults, examples = Faults(), []
    for exam, place, question in _questions(parse_json(read_text(file), where=str(file)), where=str(file)):
        with faults.gathered():
            example = _example(exam, question, where=f"{file} exam {exam} question {place}")
            if images or "image" not in example.metadata:
                examples.append(example)
    faults.raise_all()
    return examples


def _questions(corpus: Any, *, where: str) -> Iterator[tuple[str, int, Any]]:
    exams = corpus.get("exams") if isinstance(corpus, dict) else None
    if not isinstance(exams, dict):
        raise InputError("the file has no mapping `exams`", where=where)
    for name, exam in exams.items():
        questions = exam.get("data") if isinstance(exam, dict) else None
        if not isinstance(questions, list):
            raise InputError("an exam has no list `data`", where=f"{where} exam {name}")
        for place, question in enumerate(questions, 1):
            yield name, place, question


def _example(exam: str, question: Any, *, where: str) -> Example:
    try:
        texts = [answer["atext"] for answer in sorted(question["answers"], key=lambda answer: answer["aid"])]
        name, note, right, image = (question[key] for key in ("qid", "qtext", "ra", "image"))
    except (KeyError, TypeError):
        raise InputError("the question misses a field", where=where, allowed="qid, qtext, ra, image, answers") from None
    if not all(isinstance(value, str) for value in (*texts, name, note, right)):
        raise InputError("a field of the question is no text", where=where)
    choices = lettered(texts)
    key = chosen_key(choices, right, form="one-based")
    if key is None:
        raise InputError("`ra` names none of the options", where=where, allowed=f"1-{len(choices)}")
    metadata = {"exam": exam, **({"image": str(image)} if image else {})}
    return Example(
        id=f"{exam}-{name}",
        inputs={"note": note, "options": rendered(choices)},
        answer=Answer(label=key),
        group=f"{exam}-{name}",
        document=f"{exam}-{name}",
        choices=choices,
        metadata=metadata,
    )
