"""A user's own annotated notes to a prepared task: what the annotation shows becomes the task's schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from clinprompt.data.atomic import whole_folder
from clinprompt.data.files import walked
from clinprompt.data.manifest import Manifest
from clinprompt.data.projection import ProjectionReport, Tally
from clinprompt.data.readers import READERS, STREAMS
from clinprompt.data.split import divided
from clinprompt.data.stream import Stream
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example, Split, TaskKind
from clinprompt.stages.attribute_schema import unasked, with_asked
from clinprompt.stages.options import check_options
from clinprompt.stages.prepare import project_items
from clinprompt.stages.prepared import write_prepared
from clinprompt.tasks.catalog import task_from
from clinprompt.tasks.codecs.quote import quotable
from clinprompt.tasks.task import DataSource, Task

METRICS = {
    "entities": ("span-f1", "span-f1-lenient"),
    "relations": ("relation-f1", "relation-f1-lenient"),
    "labels": ("accuracy", "macro-f1"),
    "choices": ("accuracy",),
    "free_text": ("rouge-l", "rouge-1", "rouge-2"),
    "answers": ("token-f1", "exact-match"),
}


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported: the task, the manifest, and what of the annotation no example holds: spans and relations in
    ``report``, attributes by name in ``unasked``.
    """

    task: Task
    manifest: Manifest
    report: ProjectionReport
    unasked: Counter[str]


def import_data(
    source: Path,
    out: Path,
    *,
    name: str,
    reader: str,
    kind: TaskKind | None = None,
    task: Task | None = None,
    attributes: Sequence[str] = (),
    instruction: str = "",
    window: int = 600,
    dev: float = 0.15,
    test: float = 0.25,
    seed: int = 13,
    parts: Mapping[Split, str] | None = None,
    overwrite: bool = False,
    options: dict[str, Any] | None = None,
) -> Imported:
    """Read ``source``, check every offset, divide by patient or document, write a prepared folder to ``out``.

    Without ``task`` the schema is what the annotation shows, with the ``attributes`` of entities that are named; with
    it, labels outside the schema raise :class:`InputError`. Nothing is written unless everything could be read.
    ``parts`` are files or folders below ``source`` that hold the parts, which are not divided then. Formats of records
    are gone through twice, for the schema and to write, and never held.
    """
    read = partial(reader_of(reader, options or {}), **(options or {}))
    if parts and Split.train not in parts:
        raise InputError("no part is the one to train on", where=str(source), fix="name the part train too")
    given = {part: read(source / path) for part, path in (parts or {}).items()}
    items = Stream(lambda: chain.from_iterable(given.values())) if given else read(source)
    first = next(iter(items), None)
    if first is None:
        raise InputError("there is nothing to import", where=str(source))
    made = task or schema_of(items, name=name, kind=kind, instruction=instruction, attributes=attributes)
    made = _with_source(made, first, reader=reader, window=window)
    asked = (*made.attributes, *([made.about.attribute] if made.about else ()))
    tally, left = Tally(), Counter[str]()

    def examples(read: Iterable[Any]) -> Iterator[Example]:
        noted = (left.update(unasked([item], asked) if isinstance(item, Document) else ()) or item for item in read)
        return project_items(made, noted, tally=tally, strict=task is not None)

    root = source if source.is_dir() else source.parent
    # None where the source is a name, not a path.
    files = walked(source) if source.is_dir() else [source] if source.is_file() else []
    with whole_folder(out, overwrite=overwrite) as folder:
        named = ((part, replace(one, split=part)) for part, own in given.items() for one in examples(own))
        pairs = named if given else divided(examples(items), dev=dev, test=test, seed=seed)
        manifest = write_prepared(folder, made, pairs, reader=reader, source_root=root, source_files=files)
    return Imported(made, manifest, tally.report, left)


def reader_of(name: str, options: Mapping[str, Any]) -> Callable[..., Iterable[Any]]:
    """The reader of this name, which gives what can be gone through more than once: a list, or a stream where the
    format has one; raises :class:`InputError` for an option that it does not have, or whose value is of another kind.
    """
    check_options("reader", name, READERS[name], options, apart=("path",))
    return STREAMS[name] if name in STREAMS else READERS[name]


def schema_of(
    items: Iterable[Document | Example],
    *,
    name: str,
    kind: TaskKind | None,
    instruction: str = "",
    attributes: Sequence[str] = (),
) -> Task:
    """The task that the annotation of these documents or examples shows, with the attributes that are named."""
    first = next(iter(items))
    if isinstance(first, Document):
        kinds = (None, TaskKind.entities, TaskKind.relations, *([TaskKind.question_answering] if attributes else []))
        if kind not in kinds:
            raise InputError(
                f"{'attributes' if attributes else 'annotated notes'} give no task of kind {kind}",
                where=f"task {name}",
                allowed=", ".join(known for known in kinds if known),
            )
        return _span_schema(items, name, kind, instruction, attributes)
    if attributes:
        raise InputError("these records have no entities with attributes", where=f"task {name}", fix="name none")
    codec = "choices" if first.choices else "labels" if first.answer.label is not None else "free_text"
    usual = {"choices": TaskKind.question_answering, "labels": TaskKind.inference, "free_text": TaskKind.summarisation}
    asked = "question" in first.inputs
    if asked and codec == "free_text" and _extractive(items):
        codec = "quote"
    labels = sorted({example.answer.label or "" for example in items}) if codec == "labels" else []
    words = {"choices": "choose the right option.", "labels": f"answer {', '.join(labels)}.",
             "quote": "answer with words of the note.",
             "free_text": "answer the question." if asked else "summarize."}  # fmt: skip
    fields = {
        "name": name,
        "kind": (kind or (TaskKind.question_answering if asked else usual[codec])).value,
        "codec": codec,
        "instruction": instruction or words[codec],
        "labels": labels,
        "metrics": METRICS["answers" if asked and codec in ("quote", "free_text") else codec],
    }
    return task_from(fields, where=f"task {name}")


def _extractive(examples: Iterable[Example]) -> bool:
    """Whether the answers are given as places in the note."""
    placed = False
    for example in examples:
        if not quotable(example):
            return False
        placed = placed or bool(example.answer.spans)
    return placed


def _span_schema(
    documents: Iterable[Document], name: str, kind: TaskKind | None, instruction: str, attributes: Sequence[str]
) -> Task:
    labels, count = Counter[str](), 0
    ends: dict[str, tuple[set[str], set[str]]] = {}
    for document in documents:
        count += 1
        span_label = {span.id: span.label for span in document.spans}
        labels.update(span.label for span in document.spans)
        for relation in document.relations:
            heads, tails = ends.setdefault(relation.label, (set(), set()))
            heads.add(span_label[relation.head])
            tails.add(span_label[relation.tail])
    if not labels:
        raise InputError(
            f"none of the {count} documents has an annotation", where=f"task {name}", fix="check the reader"
        )
    if kind is not TaskKind.relations:
        names = [label for label, _ in labels.most_common()]
        spoken = {label: _words(label) for label in names}
        fields = {
            "name": name, "kind": "entities", "codec": "entities", "labels": names, "verbalizer": spoken,
            "instruction": f"extract {', '.join(spoken.values())}.", "metrics": METRICS["entities"],
        }  # fmt: skip
        fields = with_asked(fields, documents, attributes, kind) if attributes else fields
        fields["instruction"] = instruction or fields["instruction"]
        return task_from(fields, where=f"task {name}")
    if not ends:
        raise InputError("no document has a relation", where=f"task {name}", fix="use --kind entities")
    used = sorted({label for pair in ends.values() for end in pair for label in end})
    spoken = {label: _words(label) for label in (*used, *ends)}
    pairs = [f"{'/'.join(_words(h) for h in sorted(heads))} to {'/'.join(_words(t) for t in sorted(tails))}"
             for heads, tails in ends.values()]  # fmt: skip
    fields = {
        "name": name, "kind": "relations", "codec": "relations", "labels": used, "verbalizer": spoken,
        "relations": {
            label: {"head": sorted(heads), "tail": sorted(tails)} for label, (heads, tails) in sorted(ends.items())
        },
        "instruction": f"link {', '.join(sorted(pairs))}.", "metrics": METRICS["relations"],
    }  # fmt: skip
    fields = with_asked(fields, documents, attributes, kind) if attributes else fields
    fields["instruction"] = instruction or fields["instruction"]
    return task_from(fields, where=f"task {name}")


def _words(label: str) -> str:
    return label.replace("_", " ").replace("-", " ").lower()


def _with_source(task: Task, first: Document | Example, *, reader: str, window: int) -> Task:
    """The task with the window it is imported in, so that prediction reads notes in the same."""
    if not isinstance(first, Document):
        return task
    data = task.data or DataSource(reader=reader)
    return task.model_copy(update={"data": data.model_copy(update={"window": window, "reader": data.reader or reader})})
