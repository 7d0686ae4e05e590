"""Notes in, predictions out: every note in windows, every prompt's task, one answer per note and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clinprompt import __version__
from clinprompt.backbones.protocol import Placement
from clinprompt.data.files import file_hash
from clinprompt.data.windows import merge, windows
from clinprompt.errors import InputError
from clinprompt.inference.predictor import Question
from clinprompt.prompts.bank import SoftPrompt
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer, Example, TaskKind
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.stages.adapted import open_prompt
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.exporting import check_output, holds_answers, rehearse, write_documents
from clinprompt.stages.importing import reader_of
from clinprompt.stages.mention_answers import attributed
from clinprompt.stages.opened import Opened, open_backbone, template_of
from clinprompt.stages.progress import Progress, silent
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import Template

SPAN_KINDS = (TaskKind.entities, TaskKind.relations)
WINDOW = 600
"""Longest stretch of a note, in characters, where neither the settings nor the task say one."""


@dataclass(frozen=True, slots=True)
class PredictReport:
    """What was read and written: notes, windows, characters covered, spans, relations, attributes, the answers' faults,
    and what the format cannot hold, counted.

    ``grounding`` counts the models' answers by how they were grounded, ``unconstrained`` says why they could not be
    constrained although that was asked for.
    """

    notes: int
    windows: int
    characters: int
    spans: int
    relations: int
    attributes: int
    answers: int
    decoding: DecodeReport
    lost: Mapping[str, int]
    grounding: Mapping[str, int]
    unconstrained: str = ""


@dataclass(frozen=True, slots=True)
class _Ask:
    """One question with the place its note has in the document."""

    question: Question
    place: tuple[int, int]
    item: int


def predict(settings: PredictSettings, *, opened: Opened | None = None, progress: Progress = silent) -> PredictReport:
    """Predict every prompt's task on every note and write the result to ``settings.out``.

    Refuses prompts of another backbone, prompts that have gone silent, and outputs that the writer cannot hold;
    nothing is written then.
    """
    opened = opened or open_backbone(settings.backbone)
    prompts = [open_prompt(path, opened) for path in settings.prompts]
    tasks = [_task(prompt, path) for prompt, path in zip(prompts, settings.prompts, strict=True)]
    template = _template(prompts, settings.prompts, opened)
    _check_output(settings, tasks)
    read = reader_of(settings.reader, settings.reader_options)
    items = list(read(settings.notes, **settings.reader_options))
    _check_mentions(tasks, items)
    _rehearse(settings, tasks, items)
    asks = [
        ask
        for i, item in enumerate(items)
        for prompt, task in zip(prompts, tasks, strict=True)
        for ask in _asks(i, item, prompt, task, settings.window)
    ]
    predictor = replace(opened, template=template).predictor(settings.decoding, tokens=settings.answer_tokens)
    with progress("predict", len(asks)) as advance:
        found = predictor.predict([ask.question for ask in asks], watch=lambda rows: advance(rows)) if asks else []
    about = [(prompt, task) for prompt, task in zip(prompts, tasks, strict=True) if task.about]
    report = _write(settings, items, tasks, asks, found, prompts, lambda documents: attributed(
        documents, about, predictor, window=settings.window))  # fmt: skip
    return replace(report, unconstrained=opened.unconstrained(settings.decoding))


def _task(prompt: SoftPrompt, path: Path) -> Task:
    if prompt.card.task is None:
        raise InputError(
            "this file holds a metaprompt, which answers no task by itself",
            where=str(path),
            fix="adapt it to a task first with `clinprompt adapt`",
        )
    return prompt.card.task


def _template(prompts: Sequence[SoftPrompt], paths: Sequence[Path], opened: Opened) -> Template:
    template = template_of(opened.backbone, prompts[0].card.template)
    for prompt, path in zip(prompts, paths, strict=True):
        if prompt.card.template_hash != template.hash:
            raise InputError(
                f"the prompt was trained with another template ({prompt.card.template}, {prompt.card.template_hash})",
                where=str(path),
                allowed=f"{template.name}, {template.hash}",
                fix="predict with prompts of one template at a time, made by this version",
            )
    return template


def _check_output(settings: PredictSettings, tasks: Sequence[Task]) -> None:
    """Raise for what the writer would refuse, before the notes are read rather than after."""
    names = [task.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two prompts answer the task {twice[0]}", fix="predict with one prompt per task at a time")
    check_output(settings.writer, settings.writer_options, settings.out)
    if not holds_answers(settings.writer) and any(task.kind not in SPAN_KINDS and not task.about for task in tasks):
        raise InputError(
            f"{settings.writer} holds spans and relations only", allowed="entities, relations", fix="use --to jsonl"
        )


def _rehearse(settings: PredictSettings, tasks: Sequence[Task], items: Sequence[Document | Example]) -> None:
    labels = [label for task in tasks if task.kind in SPAN_KINDS for label in task.labels]
    relations = [label for task in tasks for label in task.relations]
    rehearse(
        [item.id for item in items], labels, relations, settings.out,
        writer=settings.writer, options=settings.writer_options,
    )  # fmt: skip


def _on_given_mentions(tasks: Sequence[Task]) -> bool:
    """Whether attributes are asked for of the mentions that the notes have already."""
    return any(task.about for task in tasks) and not any(task.kind in SPAN_KINDS for task in tasks)


def _check_mentions(tasks: Sequence[Task], items: Sequence[Document | Example]) -> None:
    wanted = {label for task in tasks if task.about for label in task.about.of}
    found = {span.label for item in items if isinstance(item, Document) for span in item.spans}
    if _on_given_mentions(tasks) and not wanted & found:
        raise InputError(
            "the notes have no mention to ask about",
            allowed=", ".join(sorted(wanted)),
            fix="add a --prompt that extracts them, or read annotated notes, such as --reader brat",
        )


def _asks(item: int, note: Document | Example, prompt: SoftPrompt, task: Task, window: int | None) -> list[_Ask]:
    if task.about:  # asked when the mentions are known
        return []
    placement = Placement(prompt.card.placement)

    def ask(example: Example, place: tuple[int, int]) -> _Ask:
        return _Ask(Question(example, task, prompt.vectors, placement, prompt.card.name), place, item)

    if isinstance(note, Example):
        return [ask(note, (0, len(note.note)))]
    text = note.text
    if task.kind in SPAN_KINDS:
        trained = task.data.window if task.data else None
        longest = window or trained or WINDOW
        places = windows(text, longest=longest, overlap=min(80, longest // 4))
    else:
        places = [(0, len(text))]
    made = []
    for start, end in places:
        if text[start:end].strip():
            name = f"{note.id}@{start}"
            example = Example(name, {"note": text[start:end]}, Answer(), note.group, document=note.id, offset=start)
            made.append(ask(example, (start, end)))
    return made


def _write(
    settings: PredictSettings,
    items: Sequence[Document | Example],
    tasks: Sequence[Task],
    asks: Sequence[_Ask],
    found: Sequence[Prediction],
    prompts: Sequence[SoftPrompt],
    attribute: Callable[[list[Document]], tuple[list[Document], list[Prediction]]],
) -> PredictReport:
    answers: dict[tuple[int, str], list[tuple[_Ask, Prediction]]] = {}
    for ask, prediction in zip(asks, found, strict=True):
        answers.setdefault((ask.item, ask.question.task.name), []).append((ask, prediction))
    by_item = [
        {task.name: answers[i, task.name] for task in tasks if (i, task.name) in answers} for i in range(len(items))
    ]
    kinds = {task.name: task.kind for task in tasks}
    documents = [_document(item, given, kinds) for item, given in zip(items, by_item, strict=True)]
    if _on_given_mentions(tasks):
        documents = [item for item in items if isinstance(item, Document)]
    documents, said_of_mentions = attribute(documents)
    found = [*found, *said_of_mentions]
    said = [_said(given, kinds) for given in by_item]
    provenance = _provenance(settings, found, prompts)
    lost = write_documents(
        documents, settings.out, writer=settings.writer, options=settings.writer_options, answers=said,
        provenance=provenance,
    )  # fmt: skip
    return PredictReport(
        notes=len(items),
        windows=len(asks),
        characters=sum(len(document.text) for document in documents),
        spans=sum(len(document.spans) for document in documents),
        relations=sum(len(document.relations) for document in documents),
        attributes=sum(len(span.attributes) for document in documents for span in document.spans),
        answers=sum(len(answer) for answer in said),
        decoding=sum((prediction.report for prediction in found), DecodeReport()),
        lost=lost,
        grounding=_grounding(found),
    )


def _document(
    item: Document | Example, given: Mapping[str, list[tuple[_Ask, Prediction]]], kinds: Mapping[str, TaskKind]
) -> Document:
    """The note with the spans and relations of all its tasks, windows merged."""
    whole = [
        merge([ask.place for ask, _ in pairs], [prediction.answer for _, prediction in pairs])
        for name, pairs in given.items()
        if kinds[name] in SPAN_KINDS
    ]
    spans, relations = _joined(whole)
    text = item.text if isinstance(item, Document) else item.note
    return Document(item.id, text, spans, relations, group=item.group)


def _said(given: Mapping[str, list[tuple[_Ask, Prediction]]], kinds: Mapping[str, TaskKind]) -> dict[str, str | None]:
    """Classes, keys and texts by task name; such tasks read a note in one piece."""
    answers = {name: pairs[0][1].answer for name, pairs in given.items() if kinds[name] not in SPAN_KINDS}
    return {name: answer.text if answer.label is None else answer.label for name, answer in answers.items()}


def _provenance(
    settings: PredictSettings, found: Sequence[Prediction], prompts: Sequence[SoftPrompt]
) -> dict[str, Any]:
    """What made these predictions: backbone, engine, dtype, decoding, and each prompt by name, version and hash."""
    common = dict(found[0].provenance) if found else {}
    for single in ("task", "prompt", "grounding"):
        common.pop(single, None)
    common["grounding"] = _grounding(found)
    made_by = [
        {
            "task": prompt.card.name,
            "version": prompt.card.version,
            "method": prompt.card.method,
            "run": prompt.card.lineage.run,
            "sha256": file_hash(path),
        }
        for prompt, path in zip(prompts, settings.prompts, strict=True)
    ]
    return {**common, "clinprompt": __version__, "prompts": made_by}


def _grounding(found: Sequence[Prediction]) -> dict[str, int]:
    """How many answers were grounded how."""
    return dict(Counter(prediction.provenance["grounding"] for prediction in found))


def _joined(answers: Sequence[Answer]) -> tuple[tuple[Span, ...], tuple[Relation, ...]]:
    """Several tasks' spans and relations with ids that do not clash; equal spans of two tasks are one."""
    names: dict[Any, str] = {}
    spans: dict[str, Span] = {}
    relations: list[Relation] = []
    for answer in answers:
        local = {}
        for span in answer.spans:
            if span.key not in names:
                names[span.key] = f"T{len(names) + 1}"
            name = local[span.id] = names[span.key]
            known = spans[name].attributes if name in spans else {}
            spans[name] = replace(span, id=name, attributes={**span.attributes, **known})
        for relation in answer.relations:
            relations.append(
                replace(relation, id=f"R{len(relations) + 1}", head=local[relation.head], tail=local[relation.tail])
            )
    return tuple(spans.values()), tuple(relations)


def report_record(report: PredictReport) -> dict[str, Any]:
    """The report as plain values."""
    return asdict(report)
