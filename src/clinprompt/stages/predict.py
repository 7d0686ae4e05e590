"""Notes in, predictions out: every note in windows, every prompt's task, one answer per note and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clinprompt import __version__
from clinprompt.data.files import file_hash
from clinprompt.data.writers import FOLDERS
from clinprompt.errors import InputError
from clinprompt.inference.coverage import Coverage, coverage
from clinprompt.inference.long_notes import WHOLE, LongNotes, Plan
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.schema.document import Document
from clinprompt.schema.example import SPAN_KINDS, Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.stages.adapted import answering, open_prompt
from clinprompt.stages.banked import prompt_path
from clinprompt.stages.configs import PredictSettings
from clinprompt.stages.exporting import check_output, holds_answers, rehearse, write_documents
from clinprompt.stages.gathered import gathered, marked, with_sections, written_answers
from clinprompt.stages.importing import reader_of
from clinprompt.stages.mention_answers import attributed
from clinprompt.stages.opened import Opened
from clinprompt.stages.opened_engine import open_engine
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.reading import LEDGER, planned_as_trained, reader, write_ledger
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import Template


@dataclass(frozen=True, slots=True)
class PredictReport:
    """What was read and written: notes, windows, characters, spans, relations, attributes, the answers' faults, and
    what the format cannot hold, counted.

    ``windowed`` counts notes that some task read in several windows, ``truncated`` characters that were not read,
    ``pairs_apart`` mentions that a relation could join and no window held together; the file ``ledger`` has them by
    note and task. ``overlaps`` says, for tasks whose windows share less than the longest answer item of their training
    data, how much they share and how long that is. ``grounding`` counts the models' answers by how they were grounded,
    ``unconstrained`` says why they could not be constrained although that was asked for, ``remarks`` what else there is
    to say of the engine.
    """

    notes: int
    windows: int
    windowed: int
    characters: int
    truncated: int
    pairs_apart: int
    overlaps: Mapping[str, tuple[int, int]]
    spans: int
    relations: int
    attributes: int
    answers: int
    decoding: DecodeReport
    lost: Mapping[str, int]
    ledger: Path
    grounding: Mapping[str, int]
    unconstrained: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ask:
    """One task's question about one note."""

    plan: Plan
    item: int

    @property
    def task(self) -> Task:
        return self.plan.question.task


def predict(settings: PredictSettings, *, opened: Opened | None = None, progress: Progress = silent) -> PredictReport:
    """Predict every prompt's task on every note and write the result to ``settings.out``.

    Refuses prompts of another backbone, prompts that have gone silent, and outputs that the writer cannot hold;
    nothing is written then.
    """
    paths = tuple(prompt_path(place, key=settings.bank_key) for place in settings.prompts)
    settings = settings.model_copy(update={"prompts": paths})
    if settings.decoding.gold_heads:
        raise InputError(
            "new notes have no annotated heads to ask about",
            where="decoding.gold_heads",
            fix="leave it out; `clinprompt evaluate` scores with annotated heads beside those that are found",
        )
    opened = opened or open_engine(settings.engine, settings.backbone)
    prompts = [open_prompt(path, opened) for path in settings.prompts]
    tasks = [_task(prompt, path) for prompt, path in zip(prompts, settings.prompts, strict=True)]
    opened = _templated(prompts, settings.prompts, opened)
    _check_output(settings, tasks)
    read = reader_of(settings.reader, settings.reader_options)
    items = list(read(settings.notes, **settings.reader_options))
    _check_mentions(tasks, items)
    _rehearse(settings, tasks, items)
    predictor = opened.predictor(settings.decoding, tokens=settings.answer_tokens)
    notes = reader(predictor, settings.long_notes)
    asks = [
        _Ask(_plan(notes, item, prompt, task, opened.template, settings), i)
        for i, item in enumerate(items)
        if isinstance(item, Example) or item.text.strip()
        for prompt, task in zip(prompts, tasks, strict=True)
        if not task.about  # asked when the mentions are known
    ]
    with progress("predict", sum(len(ask.plan.places) for ask in asks)) as advance:
        found = notes.answers([ask.plan for ask in asks], watch=lambda rows: advance(rows))
    about = [(prompt, task) for prompt, task in zip(prompts, tasks, strict=True) if task.about]
    report = _write(settings, items, tasks, asks, found, prompts, notes.rules, lambda documents: attributed(
        documents, about, predictor, window=settings.window))  # fmt: skip
    return replace(
        report, unconstrained=opened.unconstrained(settings.decoding), remarks=opened.remarks(settings.decoding)
    )


def _task(prompt: SoftPrompt, path: Path) -> Task:
    if prompt.card.task is None:
        raise InputError(
            "this file holds a metaprompt, which answers no task by itself",
            where=str(path),
            fix="adapt it to a task first with `clinprompt adapt`",
        )
    return prompt.card.task


def _templated(prompts: Sequence[SoftPrompt], paths: Sequence[Path], opened: Opened) -> Opened:
    opened = opened.templated(prompts[0].card.template)
    template = opened.template
    for prompt, path in zip(prompts, paths, strict=True):
        check_template(prompt.card, template.name, template.hash, where=str(path))
    return opened


def _check_output(settings: PredictSettings, tasks: Sequence[Task]) -> None:
    """Raise for what the writer would refuse, before the notes are read rather than after."""
    names = [task.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two prompts answer the task {twice[0]}", fix="predict with one prompt per task at a time")
    check_output(settings.writer, settings.writer_options, settings.out)
    placed = [task for task in tasks if task.kind in SPAN_KINDS or task.codec == "quote" or task.about]
    if not holds_answers(settings.writer) and len(placed) < len(tasks):
        raise InputError(
            f"{settings.writer} holds spans and relations only",
            allowed="entities, relations, answers in words of the note (codec quote)",
            fix="use --to jsonl",
        )


def _rehearse(settings: PredictSettings, tasks: Sequence[Task], items: Sequence[Document | Example]) -> None:
    labels = [label for task in tasks if task.kind in SPAN_KINDS for label in task.labels]
    labels += [task.name for task in tasks if task.codec == "quote"]
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


def _plan(
    notes: LongNotes,
    item: Document | Example,
    prompt: SoftPrompt,
    task: Task,
    template: Template,
    settings: PredictSettings,
) -> Plan:
    """The question of one task about one note."""
    example = item
    if isinstance(item, Document):
        example = Example(item.id, {"note": item.text}, Answer(), item.group, document=item.id)
    question = answering(prompt).question(example, task, template, name=prompt.card.full_name)
    return planned_as_trained(notes, question, settings.long_notes, window=settings.window, extent=prompt.card.extent)


def _write(
    settings: PredictSettings,
    items: Sequence[Document | Example],
    tasks: Sequence[Task],
    asks: Sequence[_Ask],
    found: Sequence[Prediction],
    prompts: Sequence[SoftPrompt],
    rules: Mapping[str, str] | None,
    attribute: Callable[[list[Document]], tuple[list[Document], list[Prediction]]],
) -> PredictReport:
    by_item: list[dict[str, Answer]] = [{} for _ in items]
    for ask, prediction in zip(asks, found, strict=True):
        by_item[ask.item][ask.task.name] = marked(prediction) if settings.mark_ambiguous else prediction.answer
    kinds = {task.name: task.kind for task in tasks}
    documents = [gathered(item, given, kinds) for item, given in zip(items, by_item, strict=True)]
    if _on_given_mentions(tasks):
        documents = [item for item in items if isinstance(item, Document)]
    documents, said_of_mentions = attribute(documents)
    if settings.mark_sections:
        documents = [with_sections(document, rules) for document in documents]
    said = [written_answers(given, kinds) for given in by_item]
    kept = said
    if not holds_answers(settings.writer):  # what stands in the note as a span is not lost
        kept = [written_answers(given, kinds, placed=False) for given in by_item]
    everything = [*found, *said_of_mentions]
    provenance = _provenance(settings, asks, everything, prompts)
    lost = write_documents(
        documents, settings.out, writer=settings.writer, options=settings.writer_options, answers=kept,
        provenance=provenance,
    )  # fmt: skip
    folder = settings.writer in FOLDERS
    ledger = settings.out / LEDGER if folder else settings.out.with_name(f"{settings.out.name}.{LEDGER}")
    lines = [coverage(ask.plan, prediction) for ask, prediction in zip(asks, found, strict=True)]
    write_ledger(ledger, lines)
    return PredictReport(
        notes=len(items),
        windows=sum(line.windows for line in lines),
        windowed=len({ask.item for ask in asks if ask.plan.strategy != WHOLE}),
        characters=sum(len(document.text) for document in documents),
        truncated=sum(line.truncated for line in lines),
        pairs_apart=sum(line.pairs_apart for line in lines),
        overlaps=_short_overlaps(lines, prompts),
        spans=sum(len(document.spans) for document in documents),
        relations=sum(len(document.relations) for document in documents),
        attributes=sum(len(span.attributes) for document in documents for span in document.spans),
        answers=sum(len(answer) for answer in said),
        decoding=sum((prediction.report for prediction in everything), DecodeReport()),
        lost=lost,
        ledger=ledger,
        grounding=_grounding(everything),
    )


def _short_overlaps(lines: Sequence[Coverage], prompts: Sequence[SoftPrompt]) -> dict[str, tuple[int, int]]:
    """Tasks whose windows share less than their longest answer item: the least that they share, and its length."""
    extents = {prompt.card.task.name: prompt.card.extent or 0 for prompt in prompts if prompt.card.task}
    shared: dict[str, int] = {}
    for line in lines:
        if line.windows > 1 and line.overlap < extents[line.task]:
            shared[line.task] = min(line.overlap, shared.get(line.task, line.overlap))
    return {name: (least, extents[name]) for name, least in shared.items()}


def _provenance(
    settings: PredictSettings, asks: Sequence[_Ask], found: Sequence[Prediction], prompts: Sequence[SoftPrompt]
) -> dict[str, Any]:
    """What made these predictions: backbone, engine, dtype, decoding, how long notes were read, and each prompt by
    name, version and hash.
    """
    common = dict(found[0].provenance) if found else {}
    for single in ("task", "prompt", "grounding", "long_notes"):
        common.pop(single, None)
    common["grounding"] = _grounding(found)
    read = {ask.task.name: ask.plan.strategy for ask in asks if ask.plan.strategy != WHOLE}
    if read:
        common["long_notes"] = read
    made_by = [
        {
            "task": prompt.card.task.name if prompt.card.task else "",
            "prompt": prompt.card.name,
            "version": prompt.card.version,
            "method": prompt.card.method,
            "run": prompt.card.lineage.run,
            **({"sha256": file_hash(path)} if path.is_file() else {}),
        }
        for prompt, path in zip(prompts, settings.prompts, strict=True)
    ]
    return {**common, "clinprompt": __version__, "prompts": made_by}


def _grounding(found: Sequence[Prediction]) -> dict[str, int]:
    """How many answers were grounded how."""
    return dict(Counter(prediction.provenance["grounding"] for prediction in found))


def report_record(report: PredictReport) -> dict[str, Any]:
    """The report as plain values."""
    return asdict(report)
