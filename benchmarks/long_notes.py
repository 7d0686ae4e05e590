"""Notes longer than a window: every strategy on documents two to eight windows long, and at shifted windows.

    python -m benchmarks.long_notes --threads 1 --rounds 1 --no-memory [--notes 30] [--only problem] [--json]

Notes of the embedded suite are put one behind the other until the document is 2, 4 or 8 times as long as a window of
200 tokens; the question stays that about one of them (the others do not hold its words), or the answer is that of all.
Each prompt is adapted from the metaprompt that ships, on single notes. Told are, for each strategy, length and task,
the primary score with its interval, the windows of a document and the time; `whole` is the long document read at once,
where the context holds it. Single notes are read with every strategy first, which must change nothing. Then the grid of
windows of 600 characters is shifted by quarters: told are the scores, how many documents got another answer, and how
many would get another from a reader that makes no mistake within a window (none, when windows share the longest item).
Hardware: CPU of 2 cores, a quarter of an hour on one of them. Only float32 is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, run
from benchmarks.glued import glued
from benchmarks.timing import Step
from clinprompt.backbones.loading import embedded_metaprompt
from clinprompt.data.windows import merge, windows
from clinprompt.evaluation.score import score_task
from clinprompt.inference.long_notes import OVERLAP, Choices, LongNotes, Plan, Summaries
from clinprompt.inference.predictor import Question
from clinprompt.schema.example import SPAN_KINDS, Answer, Example, Split
from clinprompt.schema.formulated import Piece
from clinprompt.schema.prediction import Prediction
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import applied, open_adapted
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, Budget, DecodingSettings, Mpt, PrepareSettings
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepare import prepare
from clinprompt.stages.prepared import open_prepared

WINDOW, TIMES, CHARACTERS = 200, (2, 4, 8), 600
DOCUMENTS, QUICK = 30, 3
ALONE = "notes alone"


@dataclass(frozen=True)
class Way:
    """How a long document is read; ``overlap`` ``None`` is the longest answer item of the training data."""

    name: str
    choices: Choices = "surest"
    summaries: Summaries = "again"
    overlap: int | None = None
    whole: bool = False


WHOLE = Way("whole", whole=True)
WAYS: Mapping[str, tuple[Way, ...]] = {
    "problem-mentioned": (Way("surest"), Way("summed", choices="summed"), WHOLE),
    "medication-statements": (Way("surest"), Way("summed", choices="summed"), WHOLE),
    "drug-dose": (Way("surest answer"), WHOLE),
    "medication-summary": (Way("again"), Way("joined", summaries="joined"), WHOLE),
    "medications": (Way("merged"), Way("merged, no overlap", overlap=0), Way("merged, overlap 100", overlap=OVERLAP)),
}
"""The strategies of each task; the first is the default, with which the others must agree on single notes."""


@dataclass(frozen=True)
class _Asked:
    """The questions about single notes, the notes to glue to them, and the longest answer item of the training data."""

    questions: tuple[Question, ...]
    others: tuple[Example, ...]
    extent: int | None


@cache
def _opened() -> Opened:
    return open_backbone(BackboneSettings(device="cpu"))


def _tokens(text: str) -> int:
    return len(_opened().backbone.tokens(Piece(text)))


@cache
def _asked(name: str, quick: bool) -> _Asked:
    """The test part of a task with the prompt that was adapted to it on single notes."""
    limits = {"train": 4, "dev": 2, "test": 12} if quick else {"train": 200, "dev": 20, "test": 100}
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        data = prepare(PrepareSettings(task=name, limits=limits), runs=runs)
        adapted = adapt(
            AdaptSettings(
                targets=(data.path,),
                metaprompt=embedded_metaprompt(),
                method=Mpt(budget=Budget(steps=2 if quick else 150)),
            ),
            runs=runs,
            opened=_opened(),
        )
        outputs, [cell] = open_adapted(adapted.path, _opened().identity)
        prepared = open_prepared(data.path)
        others = tuple(one for one in prepared.part(Split.test) if _tokens(one.note) <= WINDOW)
        with applied(_opened(), outputs, cell) as given:
            template = _opened().template
            questions = tuple(given.question(one, prepared.task, template, name=name) for one in others)
        return _Asked(questions, others, prepared.extent)


def _count(options: Options) -> int:
    return options.notes or (QUICK if options.quick else DOCUMENTS)


@cache
def _documents(name: str, times: int, options: Options) -> tuple[Question, ...]:
    """The questions about single notes (``times`` 0) or about documents ``times`` windows long."""
    asked = _asked(name, options.quick)
    chosen = asked.questions[: _count(options)]
    if not times:
        return chosen
    return tuple(
        replace(one, example=glued(one.example, asked.others, tokens=times * WINDOW, length=_tokens, seed=0))
        for one in chosen
    )


def _notes(name: str, way: Way, quick: bool) -> LongNotes:
    closed = _asked(name, quick).questions[0].task.codec == "labels"
    decoding = DecodingSettings(kind="choices" if closed else "greedy")
    predictor = _opened().predictor(decoding, tokens=12 if quick else 192)
    return LongNotes(predictor, choices=way.choices, summaries=way.summaries)


_Read = tuple[list[Plan], list[Prediction]]
_last: dict[tuple[str, int, Way], _Read] = {}
"""What each way read and answered when it was run last."""


def _read(name: str, times: int, way: Way, options: Options) -> _Read:
    notes, extent = _notes(name, way, options.quick), _asked(name, options.quick).extent
    overlap = way.overlap if way.overlap is not None else OVERLAP if extent is None else extent
    tokens = None if way.whole else WINDOW
    plans = [notes.plan(one, tokens=tokens, overlap=overlap) for one in _documents(name, times, options)]
    _last[name, times, way] = plans, notes.answers(plans)
    return _last[name, times, way]


def cases(options: Options) -> Iterator[Case]:
    """Single notes, then documents of several windows, for every task."""
    for name in WAYS:
        for times in (0, *(TIMES[:1] if options.quick else TIMES)):
            yield _case(options, name, times)


def _case(options: Options, name: str, times: int) -> Case:
    ways = {f"{way.name} float32": way for way in WAYS[name]}

    def build(way: Way) -> Callable[[], Step]:
        def step() -> dict[str, torch.Tensor]:
            _, found = _read(name, times, way, options)
            return {"answers": torch.tensor([float(ord(sign)) for one in found for sign in repr(one.answer)])}

        def built() -> Step:
            _documents(name, times, options)
            return step

        return built

    first = next(iter(ways))
    return Case(
        f"{name}, {f'{times} windows' if times else ALONE}",
        {
            variant: Variant(build(way), "float32", like=None if times or variant == first else first, tolerance=0.0)
            for variant, way in ways.items()
        },
        unit="document",
        units=_count(options),
        settings={"window in tokens": WINDOW},
    )


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """The scores of every strategy, and what became of them at shifted windows."""
    seconds = {(line["case"], line["variant"]): line["seconds per unit"] for line in lines}
    rows = []
    for (name, times, way), (plans, found) in _last.items():
        case = _case(options, name, times)
        rows.append(
            {"task": name, "windows": times or ALONE, "way": way.name}
            | _scored(_documents(name, times, options), found, options)
            | {
                "windows read": round(sum(len(plan.places) for plan in plans) / len(plans), 2),
                "answers cut": sum(one.report.truncated for one in found),
                "ms per document": round(1e3 * seconds[case.name, f"{way.name} float32"], 1),
            }
        )
    times = TIMES[0] if options.quick else TIMES[1]
    return {
        "strategies": rows,
        "phases": [_phases(name, times, options) for name in dict.fromkeys(k[0] for k in _last)],
    }


def _scored(questions: Sequence[Question], found: Sequence[Prediction], options: Options) -> dict[str, Any]:
    examples = [question.example for question in questions]
    primary = score_task(questions[0].task, examples, found, resamples=200 if options.quick else 10_000).primary
    values = [round(value, 1) for value in (primary.value, primary.low, primary.high)]
    return {"metric": primary.metric, "score": values, "n": primary.n}


def _phases(name: str, times: int, options: Options) -> dict[str, Any]:
    """The default strategy on windows of :data:`CHARACTERS`, the first of which is made shorter by quarters."""
    questions, extent = _documents(name, times, options), _asked(name, options.quick).extent
    notes, overlap = _notes(name, WAYS[name][0], options.quick), OVERLAP if extent is None else extent
    scores, answers, faultless = [], [], []
    for phase in range(0, CHARACTERS, CHARACTERS // (2 if options.quick else 4)):
        plans = [
            replace(
                notes.plan(one, longest=CHARACTERS, overlap=overlap),
                places=tuple(windows(one.example.note, longest=CHARACTERS, overlap=overlap, phase=phase)),
            )
            for one in questions
        ]
        found = notes.answers(plans)
        scores.append(_scored(questions, found, options)["score"][0])
        answers.append([_said(one.answer) for one in found])
        faultless.append([_said(_without_mistake(plan)) for plan in plans])
    told = {"task": name, "overlap": overlap, "scores": scores, "documents": len(questions)}
    told["documents with another answer"] = _changed(answers)
    if questions[0].task.kind in SPAN_KINDS:
        told["of a reader without mistakes"] = _changed(faultless)
        assert faultless[0] == [_said(one.example.answer) for one in questions]
    return told


def _without_mistake(plan: Plan) -> Answer:
    """What a reader finds that sees each window alone and makes no mistake in it."""
    gold = plan.question.example.answer.spans
    seen = [
        Answer(spans=tuple(one.shifted(-start) for one in gold if start <= one.start and one.end <= end))
        for start, end in plan.places
    ]
    return merge(plan.places, seen)


def _said(answer: Answer) -> tuple[Any, ...]:
    return answer.label, answer.text, frozenset(span.key for span in answer.spans)


def _changed(answers: Sequence[Sequence[Any]]) -> int:
    return sum(len(set(given)) > 1 for given in zip(*answers, strict=True))


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    _last.clear()
    return run("long_notes", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
