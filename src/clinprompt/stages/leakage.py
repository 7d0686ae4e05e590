"""Which scored examples stand in what was trained on: a line for every target and place they could have been seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from clinprompt.data.leakage import Leak, Watch, of_one_corpus, patients_of
from clinprompt.data.limit import limited
from clinprompt.data.overlap import NoteIndex
from clinprompt.evaluation.csv_text import csv_text
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer, Example, Split
from clinprompt.stages.atomic import write_json, write_text
from clinprompt.stages.configs import LeakageSettings
from clinprompt.stages.importing import reader_of
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder, open_run

STAGE, VERSION = "leakage", 3
FILE, TABLE = "leakage.json", "leakage.csv"
PRETRAINING = "pretraining"

Role = Literal["own", "source", "pretraining"]

_LONGEST = 1_000_000
"""Characters of a text that are gone through at a time, and of texts that are gone through together."""
_SHARED = 1_000
"""Characters that the pieces of a longer text share, so that what stands at a border is found."""


@dataclass(frozen=True, slots=True)
class LeakLine:
    """How many of the ``n`` examples scored for ``target`` were seen in one place; see :class:`Leak` for the kinds.

    ``scored`` is the task they are of, where it is another one. ``role``: the target's ``own`` training and development
    part, that of a ``source``, or the backbone's ``pretraining``; ``seen`` is its name. ``leaked`` counts examples that
    were seen in any of the ways, ``percent`` is their share.
    """

    target: str
    scored: str
    role: Role
    seen: str
    n: int
    exact: int
    normalised: int
    near: int
    similar: int
    groups: int
    leaked: int
    percent: float
    examples: tuple[str, ...] = ()


def leakage(settings: LeakageSettings, *, runs: Path, progress: Progress = silent, force: bool = False) -> RunFolder:
    """Compare what is scored with what is trained on; writes ``outputs/leakage.json`` and ``leakage.csv``.

    The ids of the examples are in the JSON file alone, no text in either.
    """
    targets = [open_prepared(path) for path in settings.targets]
    others = {name: [open_prepared(path) for path in paths] for name, paths in settings.elsewhere.items()}
    sources = [open_prepared(path) for path in settings.sources]
    text = settings.check.pretraining
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs={} if text is None else {PRETRAINING: text},
        fingerprints={
            f"{role} {number} {item.task.name}": item.digest
            for role, items in (("target", targets), ("source", sources), ("other", [*chain(*others.values())]))
            for number, item in enumerate(items)
        },
        force=force,
    )
    if run.done:
        return run
    with run:
        name, texts = _pretraining(settings)
        lines = _lines(targets, sources, others, name, texts, settings, progress)
        write_leakage(run.outputs, lines)
        run.finish({"lines": len(lines), "leaking": sum(line.leaked > 0 for line in lines)})
    return run


def write_leakage(folder: Path, lines: Sequence[LeakLine]) -> None:
    """Write ``leakage.csv``, and ``leakage.json`` with the ids of the examples."""
    write_text(folder / TABLE, csv_text(lines, kind=LeakLine, leave_out=("examples",)))
    write_json(folder / FILE, {"lines": [asdict(line) for line in lines]})


def read_leakage(folder: Path) -> list[LeakLine]:
    """The lines that a finished leakage run, or a job, has written."""
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))["lines"]
    return [LeakLine(**{**line, "examples": tuple(line["examples"])}) for line in content]


def _lines(
    targets: Sequence[Prepared],
    sources: Sequence[Prepared],
    others: dict[str, list[Prepared]],
    name: str,
    texts: Iterable[str],
    settings: LeakageSettings,
    progress: Progress,
) -> list[LeakLine]:
    scored = [(target, item) for target in targets for item in (target, *others.get(target.task.name, ()))]
    parts = [limited(item.part(Split(settings.part)), settings.limit) for _, item in scored]
    indices = [NoteIndex(part) for part in parts]
    watched: list[tuple[int, Role, str, Watch]] = []

    def watch(place: int, role: Role, seen: str, trained: Prepared | None = None) -> Watch:
        found = Watch(
            parts[place],
            index=indices[place],
            same_groups=trained is not None and _same_patients(trained, scored[place][1], parts[place]),
            share=settings.check.share,
            threshold=settings.check.similar,
        )
        watched.append((place, role, seen, found))
        return found

    with progress(STAGE, len(targets) + len(sources)) as advance:
        for target in targets:
            own = NoteIndex(_trained_on(target, scored_part=settings.part))
            for place, (trained, _) in enumerate(scored):
                if trained is target:
                    watch(place, "own", target.task.name, target).see(own)
            advance(1)
        for source in sources:
            given = NoteIndex(_trained_on(source))
            for place in range(len(scored)):
                watch(place, "source", source.task.name, source).see(given)
            advance(1)
    if name:
        everywhere = [watch(place, "pretraining", name) for place in range(len(scored))]
        for batch in _batches(texts):
            index = NoteIndex([Example("", {"note": text}, Answer(), "") for text in batch])
            for own_watch in everywhere:
                own_watch.see(index)
    order = sorted(watched, key=lambda found: found[0])
    return [
        _line(scored[place][0], scored[place][1], role, seen, len(parts[place]), found.leak())
        for place, role, seen, found in order
    ]


def _same_patients(trained: Prepared, item: Prepared, part: Sequence[Example]) -> bool:
    """Whether groups of the scored ``part`` of an item are those of what was trained on, where they have one name."""
    if trained.task.name == item.task.name:
        return True
    return bool(patients_of(part)) and of_one_corpus(_all(trained), _all(item))


def _all(item: Prepared) -> Iterator[Example]:
    return chain.from_iterable(item.examples(split) for split in Split)


def _line(target: Prepared, item: Prepared, role: Role, seen: str, n: int, leak: Leak) -> LeakLine:
    leaked = len(leak.examples)
    return LeakLine(
        target=target.task.name,
        scored=item.task.name,
        role=role,
        seen=seen,
        n=n,
        exact=leak.exact,
        normalised=leak.normalised,
        near=leak.near,
        similar=leak.similar,
        groups=leak.groups,
        leaked=leaked,
        percent=100 * leaked / n if n else 0.0,
        examples=leak.examples,
    )


def _trained_on(item: Prepared, *, scored_part: str = "") -> list[Example]:
    """Training examples, and the development examples that choose among what was trained."""
    splits = [split for split in (Split.train, Split.dev) if split.value != scored_part]
    return [example for split in splits for example in item.part(split)]


def _pretraining(settings: LeakageSettings) -> tuple[str, Iterable[str]]:
    """The pretraining text and how it is called; no name where it is not known."""
    check = settings.check
    if check.pretraining is not None:
        given = reader_of(check.reader, check.reader_options)(check.pretraining, **check.reader_options)
        return check.pretraining.name, (item.text if isinstance(item, Document) else item.note for item in given)
    if not settings.backbone:
        return "", ()
    from clinprompt.backbones.embedded.notes_read import notes_read
    from clinprompt.backbones.loading import resolve

    made = notes_read(resolve(settings.backbone))
    if made is None:
        return "", ()
    read = made.count if check.notes is None else min(check.notes, made.count)
    return f"the first {read:,} of about {made.count:,} notes of {settings.backbone}", islice(made, read)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts together up to so many characters, longer ones in pieces."""
    batch: list[str] = []
    held = 0
    for text in texts:
        for start in range(0, max(len(text), 1), _LONGEST):
            piece = text[start : start + _LONGEST + _SHARED]
            batch.append(piece)
            held += len(piece)
            if held >= _LONGEST:
                yield batch
                batch, held = [], 0
    if batch:
        yield batch
