"""The report of a job: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from clinprompt.stages.atomic import write_text
from clinprompt.stages.leakage import LeakLine
from clinprompt.study.console_table import p_text
from clinprompt.study.difference import Difference
from clinprompt.study.errors_shown import ShownErrors
from clinprompt.study.example_view import example_view
from clinprompt.study.examples_shown import ShownExample
from clinprompt.study.figures import css_colours, group_panels, key, panels, styles
from clinprompt.study.given_heads import in_pairs
from clinprompt.study.group_table import GroupTable
from clinprompt.study.leakage import sources_compared
from clinprompt.study.legend import DAGGER, NO_WIDTH, SEEN, has_no_width
from clinprompt.study.rank_table import RankLine
from clinprompt.study.score_table import TRIVIAL, Block, Row, ScoreTable, score_table
from clinprompt.study.table import Line

if TYPE_CHECKING:
    from jinja2 import Environment

BACKBONE_PARAMETERS = "backbone parameters"
"""The fact from which shares of trained parameters are computed."""


@dataclass(frozen=True, slots=True)
class SourceTask:
    """One source task: dev loss of its own teacher and, when measured, of the metaprompt with its factors."""

    name: str
    kind: str
    teacher_loss: float | None
    metaprompt_loss: float | None = None


@dataclass(frozen=True, slots=True)
class SourceStory:
    """How the metaprompt was made: losses per answer token in nats, trained numbers, wall time in seconds."""

    tasks: tuple[SourceTask, ...]
    metaprompt_loss: float | None = None
    teacher_parameters: int | None = None
    metaprompt_parameters: int | None = None
    teach_seconds: float | None = None
    distill_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """How many numbers a method trains per target, from the fewest to the most over targets."""

    method: str
    least: int
    most: int
    share: float | None


def write_report(
    path: Path,
    *,
    recipe_name: str,
    description: str,
    lines: Sequence[Line],
    groups: GroupTable,
    differences: Sequence[Difference],
    sources: SourceStory | None,
    shown: Sequence[ShownExample],
    errors: Sequence[ShownErrors] = (),
    ranks: Sequence[RankLine] = (),
    leakage: Sequence[LeakLine] = (),
    given_heads: Sequence[Line] = (),
    facts: Mapping[str, str],
    command: str,
) -> None:
    """Write the report of a job as one HTML file without outside resources, whole or not at all.

    Lines ``given_heads`` stand beside those of ``lines`` that have the same method, target and shots.
    ``facts`` are shown as they are (date, versions, machine); the fact ``backbone parameters``, when it is a
    number, gives the share of trained parameters. The same arguments give the same file.
    """
    table = score_table(lines)
    examples = [
        (target, [example_view(example) for example in group])
        for target, group in groupby(shown, key=lambda example: example.target)
    ]
    text = (
        pages()
        .get_template("report.html.j2")
        .render(
            name=recipe_name,
            description=description,
            lines=[*lines, *given_heads],
            heads_given=[("", *pair) for pair in in_pairs(lines, given_heads)],
            table=table,
            groups=groups,
            group_legend=[(style.method, key(style, prefix="j")) for style in styles(lines)],
            group_panels=group_panels(groups, lines),
            differences=[found for found in differences if not found.target],
            target_differences=[found for found in differences if found.target],
            rankings=[(place, list(own)) for place, own in groupby(ranks, key=lambda rank: (rank.group, rank.shots))],
            leaks=[line for line in leakage if line.leaked],
            looked_at=len(leakage),
            compared=sources_compared(leakage),
            pretraining=next((line.seen for line in leakage if line.role == "pretraining"), ""),
            dagger=DAGGER,
            seen=SEEN,
            no_width=NO_WIDTH if has_no_width([*lines, *groups.lines]) else "",
            p_text=p_text,
            trained=trained(lines, backbone=_number(facts.get(BACKBONE_PARAMETERS, ""))),
            faults=_with_faults(table),
            errors=errors,
            seeds=max((line.seeds for line in lines), default=0),
            draws=max((line.draws for line in lines), default=0),
            has_trivial=any(line.method == TRIVIAL for line in lines),
            sources=sources,
            panels=panels(lines),
            legend=[(style.method, key(style)) for style in styles(lines)],
            colours=css_colours(),
            examples=examples,
            facts=facts,
            command=command,
        )
    )
    write_text(path, text)


def pages() -> Environment:
    """The templates of reports; everything is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def trained(lines: Sequence[Line], *, backbone: int | None) -> list[Trained]:
    """The trained parameters of each method, with their share of the backbone when its size is known."""
    found = []
    for method in dict.fromkeys(line.method for line in lines if line.method != TRIVIAL):
        counts = [line.trainable for line in lines if line.method == method]
        found.append(Trained(method, min(counts), max(counts), 100 * max(counts) / backbone if backbone else None))
    return found


def _with_faults(table: ScoreTable) -> list[Block]:
    """The blocks with only those rows that have an answer or item that could not be used."""

    def faulty(row: Row) -> bool:
        return any(entry and (entry.line.unreadable or entry.line.unlocated) for entry in row.entries)

    blocks = [Block(block.title, tuple(filter(faulty, block.rows))) for block in table.blocks]
    return [block for block in blocks if block.rows]


def _number(text: str) -> int | None:
    digits = text.replace(",", "").replace("_", "").replace(" ", "")
    return int(digits) if digits.isascii() and digits.isdigit() else None
