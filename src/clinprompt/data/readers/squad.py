"""SQuAD 1 and 2 (JSON): questions whose answers are stretches of a context; COVID-QA, emrQA in this form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.fields import with_distinct_ids
from clinprompt.data.files import files_below, parse_json, read_text
from clinprompt.data.naming import note_name
from clinprompt.data.passages import located, stretch, trimmed
from clinprompt.errors import InputError
from clinprompt.schema.document import Span
from clinprompt.schema.example import QUOTED, Answer, Example

MOVED = "answers whose offset was corrected"


def read(
    path: Path | None, *, unanswerable: str = "unanswerable", passage: int = 0, grouped: str = "article"
) -> list[Example]:
    """Every question of a file, or of the files of a folder, with its context as ``note``.

    The answer is the first annotator's as text, and all different ones as spans of the context (the first is
    the text); blanks at an answer's ends are left out. An ``answer_start`` that misses its words is corrected
    where they stand at one place only, near it or in the whole context, and counted in the metadata; other
    misses are faults. A question of SQuAD 2 without an answer has the text ``unanswerable``. With ``passage``
    the note is the stretch of at most so many characters around the first answer (around the context's
    beginning without one): an easier task, to be named beside its scores. The group is the context's
    ``document_id`` (COVID-QA) or ``note_id`` (emrQA) where it has one, else the article, or with ``grouped``
    ``context`` the context (files of emrQA call a whole set of notes one article).

    Raises one :class:`InputError` that lists all questions that cannot be read.
    """
    if grouped not in ("article", "context"):
        raise InputError(f"the option grouped has the value {grouped!r}", allowed="article, context")
    faults, examples = Faults(), []
    for file in files_below(path, reader="squad", suffixes=(".json",)):
        with faults.gathered():
            content = parse_json(read_text(file), where=str(file))
            articles = content.get("data") if isinstance(content, dict) else None
            if not isinstance(articles, list):
                raise InputError("the file has no list `data` of articles", where=str(file))
            name = note_name(file, Path(path))  # type: ignore[arg-type]
            for number, article in enumerate(articles, 1):
                with faults.gathered():
                    where = f"{file} article {number}"
                    group = f"{name}-{number}"
                    if grouped == "article":
                        group = _text(article, "title") or group
                    examples += _article(
                        article,
                        group,
                        apart=grouped == "context",
                        unanswerable=unanswerable,
                        passage=passage,
                        where=where,
                    )
    faults.raise_all()
    return with_distinct_ids(examples)


def _article(article: Any, group: str, *, apart: bool, unanswerable: str, passage: int, where: str) -> list[Example]:
    paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
    if not isinstance(paragraphs, list):
        raise InputError("the article has no list `paragraphs`", where=where)
    faults, examples = Faults(), []
    for number, paragraph in enumerate(paragraphs, 1):
        with faults.gathered():
            place = f"{where} paragraph {number}"
            context = paragraph.get("context") if isinstance(paragraph, dict) else None
            questions = paragraph.get("qas") if isinstance(paragraph, dict) else None
            if not isinstance(context, str) or not isinstance(questions, list):
                raise InputError("the paragraph has no `context` text or no list `qas`", where=place)
            own = _text(paragraph, "document_id") or _text(paragraph, "note_id")
            document = own or (f"{group}:{number}" if len(paragraphs) > 1 else group)
            for position, question in enumerate(questions, 1):
                with faults.gathered():
                    spot = f"{place} question {position}"
                    answer, moved = _answer(question, context, unanswerable=unanswerable, where=spot)
                    example = Example(
                        id=_text(question, "id") or f"{document}-{position}",
                        inputs={"note": context, "question": question["question"]},
                        answer=answer,
                        group=own or (document if apart else group),
                        document=document,
                        metadata={MOVED: str(moved)} if moved else {},
                    )
                    examples.append(_shortened(example, passage) if passage else example)
    faults.raise_all()
    return examples


def _answer(question: Any, context: str, *, unanswerable: str, where: str) -> tuple[Answer, int]:
    """The answer, and how many offsets were corrected."""
    answers = question.get("answers") if isinstance(question, dict) else None
    if not isinstance(answers, list) or not isinstance(question.get("question"), str):
        raise InputError("the question has no `question` text or no list `answers`", where=where)
    impossible = question.get("is_impossible", False)
    if not isinstance(impossible, bool) or impossible != (not answers):
        raise InputError("`answers` and `is_impossible` do not agree", where=where, fix="give answers or set it true")
    if impossible:
        return Answer(text=unanswerable), 0
    places: dict[tuple[int, int], None] = {}
    moved = 0
    for number, given in enumerate(answers, 1):
        words, start = (given.get(key) if isinstance(given, dict) else None for key in ("text", "answer_start"))
        if not isinstance(words, str) or not words.strip() or type(start) is not int:
            raise InputError("the answer has no `text` or no `answer_start`", where=f"{where} answer {number}")
        found = located(context, words, start)
        if found is None:
            raise InputError(
                f"the words of the answer are not the context at {start}", where=f"{where} answer {number}"
            )
        moved += found != start
        places[trimmed(context, (found, found + len(words)))] = None
    spans = tuple(Span(label=QUOTED, fragments=(place,), id=f"A{number}") for number, place in enumerate(places, 1))
    return Answer(spans=spans, text=spans[0].surface(context)), moved


def _shortened(example: Example, passage: int) -> Example:
    spans = example.answer.spans
    first = spans[0].fragments[0] if spans else (0, min(1, len(example.note)))
    start, end = stretch(example.note, first, longest=passage)
    kept = tuple(span.shifted(-start) for span in spans if start <= span.start and span.end <= end)
    return Example(
        id=example.id,
        inputs={**example.inputs, "note": example.note[start:end]},
        answer=Answer(spans=kept, text=example.answer.text),
        group=example.group,
        document=example.document,
        offset=start,
        metadata=example.metadata,
    )


def _text(record: Any, key: str) -> str:
    """A name that is a text or a number, empty when there is none."""
    value = record.get(key) if isinstance(record, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
