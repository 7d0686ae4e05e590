"""MedQuAD: consumers' questions with long answers from health pages, one XML document per file."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, read_xml
from clinprompt.data.naming import note_name
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example

ROOTS = {"Document": "id", "DiseaseFile": "fid"}
"""The two root elements that the release uses, with their attribute for the id."""


def read(path: Path | None, *, unfold: bool = True, unanswered: bool = False) -> list[Example]:
    """Every question of a file, or of the files of a folder, as ``note``, with its answer as text.

    Line breaks and indentation inside the answers are layout of the web pages: with ``unfold`` each run of
    blanks becomes one, without it only the ends are trimmed. Some collections come without their answers
    (removed by the publisher): such pairs are left out and counted in the metadata of their document's other
    pairs, or kept with an empty answer when ``unanswered`` is true. Pairs of one document are one group; its
    focus, source and the question's type are in the metadata.

    Raises one :class:`InputError` that lists all pairs that cannot be read, or tells that no pair has an
    answer.
    """
    faults, examples, without = Faults(), [], 0
    for file in files_below(path, reader="medquad", suffixes=(".xml",)):
        with faults.gathered():
            found, lacking = _document(file, note_name(file, Path(path)), unfold, unanswered)  # type: ignore[arg-type]
            examples += found
            without += lacking
    faults.raise_all()
    if not examples and without:
        raise InputError(f"none of the {without} pairs has an answer", where=str(path), fix="take another collection")
    return examples


def _document(file: Path, name: str, unfold: bool, unanswered: bool) -> tuple[list[Example], int]:
    root = read_xml(file)
    if root.tag not in ROOTS or not root.get(ROOTS[root.tag]):
        raise InputError("the file is no MedQuAD document with an id", where=str(file), allowed=", ".join(ROOTS))
    metadata = {"focus": " ".join((root.findtext("Focus") or "").split()), "source": root.get("source", "")}
    faults, pairs, lacking = Faults(), {}, 0
    for place, pair in enumerate(root.iter("QAPair"), 1):
        with faults.gathered():
            key, question, answer, kind = _pair(pair, unfold=unfold, where=f"{file} pair {place}")
            if key in pairs:
                raise InputError("two pairs have the same id", where=f"{file} pair {place}")
            if answer or unanswered:
                pairs[key] = (question, answer, kind)
            lacking += not answer
    faults.raise_all()
    if lacking:
        metadata["pairs without an answer"] = str(lacking)
    return [
        Example(
            id=f"{name}-{key}",
            inputs={"note": question},
            answer=Answer(text=answer),
            group=name,
            document=name,
            metadata={**metadata, "question type": kind},
        )
        for key, (question, answer, kind) in pairs.items()
    ], lacking


def _pair(pair: Element, *, unfold: bool, where: str) -> tuple[str, str, str, str]:
    question, answer = pair.find("Question"), pair.find("Answer")
    if question is None or answer is None or not pair.get("pid"):
        raise InputError("the pair misses its pid, Question or Answer", where=where)
    words = " ".join("".join(question.itertext()).split())
    if not words:
        raise InputError("the question is empty", where=where)
    text = "".join(answer.itertext())
    return pair.get("pid", ""), words, " ".join(text.split()) if unfold else text.strip(), question.get("qtype", "")
