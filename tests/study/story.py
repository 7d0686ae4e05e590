"""A made-up study: lines of five kinds, and examples with nested, overlapping and discontinuous spans."""

from __future__ import annotations

import numpy as np

from clinprompt.evaluation.errors_table import ErrorLine
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import DecodeReport
from clinprompt.study.difference import Difference, differences
from clinprompt.study.errors_shown import ShownErrors
from clinprompt.study.examples_shown import ShownExample
from clinprompt.study.group_table import GroupTable, group_table
from clinprompt.study.replicates import Replicates, resampled
from clinprompt.study.report import SourceStory, SourceTask
from clinprompt.study.table import Line

TARGETS = {
    "patient-summary": ("summarisation", "rouge-l", "far"),
    "substance-use-site-b": ("entities", "span-f1", "near"),
    "cause-of-event-site-b": ("relations", "relation-f1", "near"),
    "lab-flag": ("question-answering", "accuracy", "far"),
    "imaging-statements": ("inference", "macro-f1", "far"),
    "social-determinants": ("entities", "span-f1", "far"),
}
TRAINED = {"mpt": 1_968, "prompt-tuning": 1_280, "lora": 24_576, "fine-tuning": 1_234_560}
SHOTS = ("0", "1", "5", "10", "20", "full")
NOTE = "Fever and <script>alert('x')</script> \"left & right\" lung pain.\r\nNo cough, since 2 days.\tÄ 😀 e\u0301"


def line(method: str, target: str, shots: str, score: float, *, trainable: int, runs: int) -> Line:
    kind, metric, group = TARGETS[target]
    return Line(
        method=method, target=target, kind=kind, group=group, metric=metric, shots=shots, score=score,
        low=max(0.0, score - 6.31), high=min(100.0, score + 5.77), spread=1.25, n=200, documents=180, seeds=1,
        draws=runs, trainable=trainable, unreadable=0.5 if shots == "1" else 0.0, unlocated=1.25 * (method == "mpt"),
    )  # fmt: skip


def made_up_lines() -> list[Line]:
    lines = [
        line("trivial", name, "full", 11.13 + 7 * number, trainable=0, runs=1) for number, name in enumerate(TARGETS)
    ]
    lines += [line("instruction", name, "0", 8.3 + 3 * n, trainable=0, runs=1) for n, name in enumerate(TARGETS)]
    for m, (method, size) in enumerate(TRAINED.items()):
        for t, name in enumerate(TARGETS):
            for s, shots in enumerate(SHOTS):
                if shots == "0" and method != "mpt":
                    continue
                score = 21.07 + 9.2 * s - 4.4 * m * (5 - s) / 5 + 2.9 * t + 1.7 * m
                lines.append(line(method, name, shots, score, trainable=size, runs=3 if s else 1))
    return lines


def made_up_replicates(lines: list[Line], *, resamples: int = 40) -> dict[tuple[str, str, str], Replicates]:
    """Resamples around each line's score: those of a target rise and fall together, as on shared documents."""
    ease = np.random.default_rng(5).normal(0, 0.13, 180)
    drawn = {}
    for number, found in enumerate(lines):
        noise = np.random.default_rng(number).normal(0, 0.08, (found.draws, found.documents)) + ease
        shares = found.score / 100 + noise - noise.mean()
        drawn[found.method, found.target, found.shots] = resampled(
            tuple((1, draw) for draw in range(found.draws)),
            np.stack([shares, np.ones_like(shares)], axis=-1),
            lambda total: 100 * total[..., 0] / total[..., 1],
            resamples=resamples,
        )
    return drawn


COMPARE = {"mpt": ("prompt-tuning", "lora"), "prompt-tuning": ("fine-tuning",)}


def made_up_groups(lines: list[Line]) -> tuple[GroupTable, list[Difference]]:
    drawn = made_up_replicates(lines)
    table = group_table(lines, drawn)
    return table, differences(lines, table, drawn, COMPARE)


def span(label: str, *fragments: tuple[int, int], name: str = "") -> Span:
    return Span(label=label, fragments=fragments, id=name)


def at(words: str) -> tuple[int, int]:
    start = NOTE.index(words)
    return start, start + len(words)


def entities_example() -> ShownExample:
    gold = Answer(
        spans=(
            span("Problem", at("Fever")),
            span("Problem", at("left"), at("lung pain"), name="nested"),
            span("Site", at("lung")),
            span("Time", at("2 days")),
        )
    )
    predicted = Answer(
        spans=(
            span("Problem", at("Fever")),
            span("Problem", at("left"), at("lung pain")),
            span("Site", at('right" lung')),
            span("Problem", at("cough")),
        )
    )
    return shown(
        "entities", "substance-use-site-b", gold, predicted, DecodeReport(items=5, unlocated=1, ambiguous=1), 50.0
    )


def relations_example() -> ShownExample:
    spans = (
        span("Problem", at("Fever"), name="a"),
        span("Site", at("lung"), name="b"),
        span("Time", at("2 days"), name="c"),
    )
    gold = Answer(spans=spans, relations=(Relation("located", "a", "b"), Relation("since", "a", "c")))
    predicted = Answer(spans=spans, relations=(Relation("located", "a", "b"), Relation("since", "b", "c")))
    return shown("relations", "cause-of-event-site-b", gold, predicted, DecodeReport(items=2), 50.0)


def shown(
    kind: str,
    target: str,
    gold: Answer,
    predicted: Answer,
    report: DecodeReport,
    score: float,
    **others: object,
) -> ShownExample:
    return ShownExample(
        target=target, kind=kind, method="mpt", shots="full", example=f"{target}-17", note=NOTE, gold=gold,
        predicted=predicted, report=report, metric=TARGETS[target][1], score=score, raw="Problem: Fever",
        **{"slots": {}, **others},
    )  # fmt: skip


def made_up_examples() -> list[ShownExample]:
    nothing = DecodeReport(items=1)
    return [
        entities_example(),
        relations_example(),
        shown(
            "question-answering", "lab-flag", Answer(label="B"), Answer(label="A"), nothing, 0.0,
            slots={"question": "Is potassium \"high\" or <low>?", "options": "A. high\nB. low"},
            choices=(("A", "high"), ("B", "low"), ("C", "normal")),
        ),
        shown(
            "inference", "imaging-statements", Answer(label="entailment"), Answer(label="entailment"), nothing, 100.0,
            slots={"hypothesis": "The patient coughs."},
        ),
        shown(
            "inference", "imaging-statements", Answer(label="neutral"), Answer(), DecodeReport(unreadable=1, truncated=1),
            0.0, slots={"hypothesis": "The patient smokes."},
        ),
        shown(
            "summarisation", "patient-summary", Answer(text="Fever, pain of the left lung, no cough."),
            Answer(text="Fever without cough."), nothing, 54.5,
        ),
    ]  # fmt: skip


SOURCES = SourceStory(
    tasks=(SourceTask("problems", "entities", 0.211), SourceTask("dose-of-drug", "relations", 0.304, 0.377)),
    metaprompt_loss=0.2951,
    teacher_parameters=5_120,
    metaprompt_parameters=2_656,
    teach_seconds=61.2,
    distill_seconds=88.9,
)
FACTS = {
    "date": "2026-01-31", "backbone": "embedded", "backbone parameters": "1,234,560", "machine": "2 cores, x86_64",
    "versions": "clinprompt 0.1.0, torch 2.13.0",
}  # fmt: skip


def made_up_errors() -> list[ShownErrors]:
    return [
        ShownErrors("substance-use-site-b", "mpt", "full", (ErrorLine("Pr<oblem", 11, 2, 3, 1, 4, 5),)),
        ShownErrors(
            "lab-flag", "lora", "20", (ErrorLine("high", 7, 0, 1, 0, 1, 0), ErrorLine("low", 3, 0, 2, 0, 0, 0))
        ),
    ]
