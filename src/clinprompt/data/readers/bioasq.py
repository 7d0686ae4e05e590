"""BioASQ task B (JSON): questions over snippets of abstracts with yes or no, exact and written answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.fields import with_distinct_ids
from clinprompt.data.files import files_below, parse_json, read_text
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example

TARGETS = {"yesno": ("yesno",), "exact": ("factoid",), "ideal": ("yesno", "factoid", "list", "summary")}
"""What is asked for, with the types of questions that have it."""


def read(path: Path | None, *, target: str = "yesno") -> list[Example]:
    """The questions of a file, or of the files of a folder, that have the answer ``target`` asks for.

    ``yesno``: the class yes or no. ``exact``: the first name of a factoid's answer as text. ``ideal``: the
    first written answer of any question as text. The question's snippets, one a line, are the ``note``; each
    question is its own group. Questions of other types are not asked for and left out.

    Raises one :class:`InputError` that lists all questions that cannot be read.
    """
    if target not in TARGETS:
        raise InputError(f"the option target has the value {target!r}", allowed=", ".join(TARGETS))
    faults, examples = Faults(), []
    for file in files_below(path, reader="bioasq", suffixes=(".json",)):
        with faults.gathered():
            content = parse_json(read_text(file), where=str(file))
            questions = content.get("questions") if isinstance(content, dict) else None
            if not isinstance(questions, list):
                raise InputError("the file has no list `questions`", where=str(file))
            for number, question in enumerate(questions, 1):
                with faults.gathered():
                    where = f"{file} question {number}"
                    if _kind(question, where=where) in TARGETS[target]:
                        examples.append(_example(question, target=target, where=where))
    faults.raise_all()
    if not examples:
        raise InputError(f"no question has an answer of the kind {target!r}", where=str(path))
    return with_distinct_ids(examples)


def _kind(question: Any, *, where: str) -> str:
    kind = question.get("type") if isinstance(question, dict) else None
    if kind not in TARGETS["ideal"]:
        raise InputError("the question has no known type", where=where, allowed=", ".join(TARGETS["ideal"]))
    return kind


def _example(question: dict[str, Any], *, target: str, where: str) -> Example:
    name, body, snippets = (question.get(key) for key in ("id", "body", "snippets"))
    if not isinstance(name, str) or not isinstance(body, str) or not isinstance(snippets, list):
        raise InputError("the question misses its id, body or snippets", where=where)
    texts = [snippet.get("text") if isinstance(snippet, dict) else None for snippet in snippets]
    if not all(isinstance(text, str) for text in texts):
        raise InputError("a snippet has no text", where=where)
    found = _first(question.get("ideal_answer" if target == "ideal" else "exact_answer"))
    if found is None or not found.strip():
        raise InputError("the question has no gold answer", where=where, fix="take the golden files, not the test sets")
    if target == "yesno" and found.lower() not in ("yes", "no"):
        raise InputError("the exact answer is neither yes nor no", where=where, allowed="yes, no")
    return Example(
        id=name,
        inputs={"note": "\n".join(texts), "question": body},
        answer=Answer(label=found.lower()) if target == "yesno" else Answer(text=found),
        group=name,
        document=name,
        metadata={"question type": question["type"]},
    )


def _first(value: Any) -> str | None:
    """The first text of a text or of lists in lists (the release writes one answer in all three ways)."""
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else None
