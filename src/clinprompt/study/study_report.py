"""The report of a study on what there is: one page, tables as CSV and LaTeX, figures, cards, and a page per part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.schema.example import Split
from clinprompt.stages.atomic import write_text
from clinprompt.study.ablation import ablations
from clinprompt.study.archive import Gap
from clinprompt.study.axes import axis_drawings
from clinprompt.study.cell_line import CellLine, cell_lines
from clinprompt.study.collection import PartResult
from clinprompt.study.console_table import p_text
from clinprompt.study.divergence import Gain, GainCorrelation, gain_drawings, gain_tables, without_divergence
from clinprompt.study.drawings import Drawing, forest, heat_map, ranks, shot_curves
from clinprompt.study.errors_shown import choose_errors
from clinprompt.study.expansion import slug
from clinprompt.study.figures import by_group, by_target, css_colours, group_panels, key, styles
from clinprompt.study.given_heads import in_pairs
from clinprompt.study.group_table import GroupTable
from clinprompt.study.job import write_table
from clinprompt.study.leakage import sources_compared
from clinprompt.study.legend import DAGGER, SEEN
from clinprompt.study.paper_table import PaperTable, latex, paper_tables
from clinprompt.study.prompt_cards import write_cards
from clinprompt.study.report import pages
from clinprompt.study.score_table import TRIVIAL, shots_title
from clinprompt.study.similarity import similarity
from clinprompt.study.story import report_job
from clinprompt.study.study_file import Study
from clinprompt.study.study_line import StudyLine, study_lines
from clinprompt.study.tripod import WORDING, tripod, tripod_text


@dataclass(frozen=True, slots=True)
class Written:
    """What a report wrote: its files by what they are, and how many cards of prompts."""

    files: Mapping[str, Path]
    cards: int
    missing: int


def report_study(
    folder: Path,
    study: Study,
    found: Sequence[PartResult],
    gaps: Sequence[Gap],
    *,
    command: str,
    examples: bool = False,
) -> Written:
    """Write everything; with ``examples`` the pages of the parts show notes, the page of the study never does."""
    lines = [line for one in found for line in study_lines(one)]
    has = [one for one in found if one.result is not None]
    tables = paper_tables(found)
    gains = gain_tables(has, counted=bool(study.source_counts))
    drawings = _drawings(has) | {"gains": gain_drawings(gains)}
    items = tripod(study, found, lines, gaps)
    for one in has:
        assert one.result is not None
        write_table(folder / "parts" / one.part.slug, one.result)
        report_job(
            _page(folder, one), one.part.recipe, one.result, command=command, seconds=_seconds(one), examples=examples
        )
    write_text(folder / "results.csv", csv_text(lines, kind=StudyLine))
    write_text(folder / "divergence.csv", csv_text([row for one in gains for row in one.gains], kind=Gain))
    correlations = [row for one in gains for row in one.correlations]
    write_text(folder / "divergence-ranks.csv", csv_text(correlations, kind=GainCorrelation))
    cells = [cell for one in found for cell in cell_lines(one)]
    write_text(folder / "cells.csv", csv_text(cells, kind=CellLine))
    for number, table in enumerate(tables):
        name = "table.tex" if len(tables) == 1 else f"table-{number + 1}.tex"
        caption = f"{study.name}{': ' + table.title if table.title else ''}. Score in percent, 95 % interval."
        write_text(folder / "latex" / name, latex(table, caption=caption))
    for drawing in (one for several in drawings.values() for one in several):
        drawing.write(folder / "figures")
    write_text(folder / "tripod-llm.md", tripod_text(items))
    cards = sum(write_cards(folder / "cards", one) for one in has)
    missing = _missing(found)
    text = pages().get_template("study.html.j2").render(
        name=study.name,
        description=study.description,
        command=command,
        facts=_facts(study, has, lines),
        colours=css_colours(),
        state=[_state(folder, one) for one in found],
        tables=tables,
        notes=_notes(tables),
        heads_given=[(one.part.title, *pair) for one in has
                     for pair in in_pairs(one.result.lines, one.result.given_heads)],
        curves=[_curves(one, number) for number, one in enumerate(has)],
        differences=[(one.part.title, row) for one in has for row in one.result.differences if not row.target],
        forests=_panels(drawings["forest"], "f"),
        rankings=_panels(drawings["ranks"], "r"),
        ablations=[(one.part.title, table) for one in has
                   for table in ablations(study.ablation, one.result.groups, one.result.drawn)],
        axes=_panels(drawings["axes"], "a"),
        likeness=_likeness(has, drawings["likeness"]),
        gain_tables=gains,
        gain_figures=_panels(drawings["gains"], "d"),
        unknown_divergence=without_divergence(has),
        errors=[(one.part.title, table) for one in has for table in choose_errors(one.result.cells, one.result.lines)],
        leaks=(leaks := [line for one in has for line in one.result.leakage if line.leaked]),
        looked_at=sum(len(one.result.leakage) for one in has),
        compared=sources_compared([line for one in has for line in one.result.leakage]),
        pretraining=next((x.seen for one in has for x in one.result.leakage if x.role == "pretraining"), ""),
        gaps=gaps,
        missing=missing,
        tripod=items,
        wording=WORDING,
        seeds=max((line.seeds for line in lines), default=0),
        draws=max((line.draws for line in lines), default=0),
        sources=study.sources,
        groups=next((one.result.groups for one in has), GroupTable({}, ())),
        dagger=DAGGER,
        seen=SEEN,
        p_text=p_text,
        shots_title=shots_title,
    )  # fmt: skip
    assert leaks is not None
    write_text(folder / "report.html", text)
    files = {
        name: folder / name
        for name in ("report.html", "results.csv", "cells.csv", "tripod-llm.md", "latex", "figures", "cards")
    }
    return Written(files, cards, sum(len(one.missing) for one in found))


def _drawings(has: Sequence[PartResult]) -> dict[str, list[Drawing]]:
    curves, forests, rankings, alike = [], [], [], []
    for one in has:
        assert one.result is not None
        looks, name = styles(one.result.lines), f"shots-{one.part.slug}"
        means, targets = by_group(one.result.groups), by_target(one.result.lines)
        if one.result.groups.lines:
            curves.append(shot_curves(means, looks, name=name, title=f"{one.part.title}: mean scores by shots"))
        curves.append(shot_curves(targets, looks, name=f"{name}-targets", title=f"{one.part.title}: scores by shots"))
        if rows := [row for row in one.result.differences if row.reference == row.against]:
            forests.append(forest(rows, name=f"forest-{one.part.slug}", title=f"{one.part.title}: differences"))
        for group, shots in dict.fromkeys((rank.group, rank.shots) for rank in one.result.ranks):
            own = [rank for rank in one.result.ranks if (rank.group, rank.shots) == (group, shots)]
            rankings.append(ranks(own, name=f"ranks-{one.part.slug}-{slug(group)}-{shots}"))
        if (found := similarity(one)) is not None:
            title = f"{one.part.title}: cosines of tasks with sources"
            alike.append(heat_map(found.values, found.tasks, found.sources, name=f"alike-{one.part.slug}", title=title))
    return {"shots": curves, "forest": forests, "ranks": rankings, "axes": axis_drawings(has), "likeness": alike}


def _notes(tables: Sequence[PaperTable]) -> list[str]:
    """What stands under the tables of the page, but for the mark that has a link there."""
    return [note for note in dict.fromkeys(note for table in tables for note in table.notes) if note[0] != DAGGER]


def _panels(drawings: Sequence[Drawing], prefix: str) -> list:
    return [drawing.panel(prefix=f"{prefix}{number}") for number, drawing in enumerate(drawings)]


def _likeness(has: Sequence[PartResult], drawings: Sequence[Drawing]) -> list[dict]:
    found = [(one.part.title, alike) for one in has if (alike := similarity(one)) is not None]
    shown = _panels(drawings, "l")
    return [
        {"title": title, "panel": panel, "nearest": alike.nearest}
        for (title, alike), panel in zip(found, shown, strict=True)
    ]


def _curves(one: PartResult, number: int) -> dict:
    assert one.result is not None
    looks = styles(one.result.lines)
    legend = [(style.method, key(style, prefix=f"k{number}-")) for style in looks]
    panels = group_panels(one.result.groups, one.result.lines, prefix=f"g{number}-")
    return {"title": one.part.title, "legend": legend, "panels": panels}


def _state(folder: Path, one: PartResult) -> dict:
    cells = sum(len(planned.cells) for planned in one.gangs)
    missing = len(one.missing)
    return {
        "title": one.part.title,
        "sources": f"{one.part.sources} source{'s' * (one.part.sources > 1)}"
        if one.part.sources
        else "a file, or none",
        "length": one.part.length,
        "gangs": len(one.gangs),
        "done": len(one.records),
        "cells": cells - missing,
        "missing": missing,
        "page": _page(folder, one).relative_to(folder).as_posix() if one.result else "",
    }


def _page(folder: Path, one: PartResult) -> Path:
    return folder / "parts" / one.part.slug / "report.html"


def _missing(found: Sequence[PartResult]) -> list[str]:
    """What has no result, a sentence per part, method and seed."""
    texts = []
    for one in found:
        lost: dict[tuple[str, int], list[str]] = {}
        for planned, cell in one.missing:
            name = f"{cell.target} at {cell.shots} shots" + (f", draw {cell.draw}" if cell.shots != "full" else "")
            lost.setdefault((planned.gang.method, planned.gang.seed), []).append(name)
        for (method, seed), names in lost.items():
            shown = "; ".join(names[:6]) + ("; …" if len(names) > 6 else "")
            texts.append(f"{one.part.title}: {method}, seed {seed}: {len(names)} cell(s): {shown}")
    return texts


def _seconds(one: PartResult) -> float:
    return sum(sum(record.seconds.values()) for record in one.records.values())


def _facts(study: Study, has: Sequence[PartResult], lines: Sequence[StudyLine]) -> dict[str, str]:
    own = [line for line in lines if line.method != TRIVIAL]

    def several(name: str) -> str:
        return "; ".join(dict.fromkeys(str(getattr(line, name)) for line in own)) or "–"

    minutes = sum(_seconds(one) for one in has) / 60
    return {
        "date": date.today().isoformat(), "backbones": several("backbone"), "engine": several("engine"),
        "dtype": several("dtype"), "device": several("device"), "versions": several("versions"),
        "seeds": ", ".join(map(str, study.seeds)), "draws": str(study.draws),
        "learning rates": study.searched,
        "scored": f"{Split(study.score.part).value} part", "minutes recorded": f"{minutes:.1f}",
    }  # fmt: skip
