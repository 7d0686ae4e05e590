"""Figures of a study that a page shows and a paper prints: forest, ranks, curves, points over an axis, heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clinprompt.metrics.rankings import cliques
from clinprompt.study.difference import Difference
from clinprompt.study.figures import (
    GRID,
    INK,
    Panel,
    Style,
    draw_panel,
    line_style,
    mark_points,
    shots_of,
    svg_text,
    words_of,
)
from clinprompt.study.group_table import GroupLine
from clinprompt.study.legend import counts_text, explained, mark
from clinprompt.study.rank_table import RankLine
from clinprompt.study.score_table import shots_title
from clinprompt.study.table import Line

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A figure with its title, the same in words, and its file name."""

    name: str
    title: str
    words: str
    figure: Figure

    def panel(self, *, prefix: str) -> Panel:
        """The figure for a page."""
        return Panel(self.title, svg_text(self.figure, prefix=prefix, words=self.words), self.words)

    def write(self, folder: Path) -> None:
        """Write the figure as PNG and as SVG."""
        import matplotlib

        folder.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clinprompt"}):
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
                self.figure.savefig(
                    folder / f"{self.name}.{kind}", dpi=200, facecolor="white", metadata=metadata, bbox_inches="tight"
                )


@dataclass(frozen=True, slots=True)
class Point:
    """A method's mean score with its interval at a place on an axis."""

    method: str
    x: float
    score: float
    low: float
    high: float
    leakage: int = 0


def forest(differences: Sequence[Difference], *, name: str, title: str) -> Drawing:
    """Differences in points of percent with their paired 95 % intervals, one under the other, and a line at 0."""
    rows = [f"{d.target or d.group}, {shots_title(d.shots)}: {d.method} − {d.minus}{mark(d)}" for d in differences]
    figure, axes = _axes(6.4, 0.75 + 0.24 * len(rows))
    places = range(len(rows))
    for place, found in zip(places, differences, strict=True):
        whole = not found.target
        axes.hlines(place, found.low, found.high, color="#0072b2", linewidth=2.2 if whole else 1.1)
        axes.plot([found.difference], [place], "D" if whole else "o", color="#0072b2", markersize=5.5 if whole else 3.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(places, rows, fontsize=7, color=INK)
    axes.invert_yaxis()
    axes.margins(y=0.5 / max(1, len(rows)))
    axes.set_xlabel(explained(differences, text="difference in points, 95 % interval"), fontsize=8, color=INK)
    words = "; ".join(
        f"{row}: {d.difference:+.1f} [{d.low:+.1f} to {d.high:+.1f}]" for row, d in zip(rows, differences, strict=True)
    )
    return Drawing(name, title, f"{title}. {words}", figure)


def ranks(own: Sequence[RankLine], *, name: str) -> Drawing:
    """A critical-difference diagram: mean ranks on a line, bars over methods that cannot be told apart.

    Figure 1 of Demšar, Statistical comparisons of classifiers over multiple data sets (JMLR 7, 2006).
    """
    wide, methods = own[0].critical_difference, own[0].methods
    title = f"Mean ranks, {own[0].group}, {shots_title(own[0].shots)}: critical difference {wide:.2f}"
    alike = cliques([line.rank for line in own], distance=wide)
    bars = [(own[found[0]].rank, own[found[-1]].rank) for found in alike if len(found) > 1]
    half = (len(own) + 1) // 2
    sides = own[:half], own[half:][::-1]  # the best on the left from the top, the worst on the right
    first = 0.55 + 0.4 * len(bars)
    bottom = first + half - 0.5
    figure, axes = _axes(6.4, 0.75 + 0.2 * bottom)
    axes.set_xlim(0.75, methods + 0.25)
    axes.set_ylim(bottom, -0.1)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(1, methods + 1))
    told = explained(own, text=f"mean rank, 1 is best; bars join what is less than {wide:.2f} apart")
    axes.set_xlabel(told, fontsize=8, color=INK)
    for name_of_side, spine in axes.spines.items():
        spine.set_visible(name_of_side == "top")
    axes.spines["top"].set(color=INK, linewidth=0.8)
    other = axes.twinx()
    other.set_ylim(bottom, -0.1)
    other.set_frame_on(False)
    for edge, side, labels in zip(axes.get_xlim(), sides, (axes, other), strict=True):
        rows = [first + row for row in range(len(side))]
        for row, line in zip(rows, side, strict=True):
            axes.plot([line.rank, line.rank, edge], [-0.1, row, row], color=INK, linewidth=0.8, solid_joinstyle="miter")
        labels.set_yticks(
            rows, [f"{line.method}{mark(line)} ({line.rank:.2f})" for line in side], fontsize=8, color=INK
        )
        labels.tick_params(axis="y", length=0)
    for place, (best, worst) in enumerate(bars):
        axes.hlines(0.3 + 0.4 * place, best - 0.04, worst + 0.04, color="#0072b2", linewidth=3)
    words = "; ".join(
        f"{line.method}{mark(line)} {line.rank:.2f}, not told apart from {', '.join(line.alike) or 'none'}"
        for line in own
    )
    return Drawing(name, title, f"{title}. {words}", figure)


def curve(
    points: Sequence[Point], looks: Sequence[Style], *, name: str, title: str, axis: str, log: bool = False
) -> Drawing:
    """Scores in percent over an axis, a line with 95 % intervals per method."""
    figure, axes = _axes(4.2, 2.9)
    axes.set_ylim(0, 100)
    if log:
        axes.set_xscale("symlog", linthresh=1)
    for style in looks:
        own = sorted((point for point in points if point.method == style.method), key=lambda point: point.x)
        if own:
            axes.plot(
                [point.x for point in own], [point.score for point in own], **line_style(style), label=style.method
            )
            axes.vlines(
                [point.x for point in own], [point.low for point in own], [point.high for point in own],
                color=style.colour, linewidth=1.1,
            )  # fmt: skip
            mark_points(axes, [(point.x, point.high, point) for point in own], colour=style.colour)
    if not log and len(places := sorted({point.x for point in points})) <= 8:
        axes.set_xticks(places)
    axes.set_xlabel(explained(points, text=axis), fontsize=8, color=INK)
    axes.set_ylabel("mean score, %", fontsize=8, color=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.legend(fontsize=6.5, labelcolor=INK, frameon=False)
    words = "; ".join(f"{p.method} at {p.x:g}: {p.score:.1f}{mark(p)} [{p.low:.1f} to {p.high:.1f}]" for p in points)
    return Drawing(name, title, f"{title}. {words}", figure)


def shot_curves(
    content: Mapping[str, Sequence[Line | GroupLine]], looks: Sequence[Style], *, name: str, title: str
) -> Drawing:
    """Few-shot curves: a panel per title of ``content``, three side by side, with one legend and what they rest on."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shots, every = shots_of(content), [line for own in content.values() for line in own]
    columns = min(3, len(content))
    rows = -(-len(content) // columns)
    figure = Figure(figsize=(max(3.4, 2.9 * columns), 2.2 * rows + 1.0), facecolor="none", layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (head, own) in zip(panels, content.items(), strict=False):
        draw_panel(axes, own, looks, shots)
        axes.set_title(head, fontsize=7, color=INK, loc="left")
    for axes in panels[len(content) :]:
        axes.set_axis_off()
    figure.supylabel("score, %", fontsize=8, color=INK)
    told = f"bars and bands: 95 % intervals; {counts_text(every)}"
    figure.supxlabel(explained(every, text=told), fontsize=7, color=INK)
    keys = [Line2D([], [], label=style.method, **line_style(style)) for style in looks]
    figure.legend(handles=keys, loc="outside upper center", ncols=4, fontsize=7, labelcolor=INK, frameon=False)
    words = " ".join(f"{head}. {words_of(own)}" for head, own in content.items())
    return Drawing(name, title, f"{title}. {words}", figure)


def scatter(
    points: Sequence[Point], looks: Sequence[Style], *, name: str, title: str, axis: str, value: str
) -> Drawing:
    """Numbers of tasks over an axis with their intervals, a shape for each kind of point, and a line at 0."""
    figure, axes = _axes(4.6, 3.1)
    places = [point.x for point in points]
    aside = 0.012 * (max(places) - min(places) or 1.0)  # kinds of one task stand beside each other
    for style in looks:
        own = [point for point in points if point.method == style.method]
        at = [point.x + aside * (style.number - (len(looks) - 1) / 2) for point in own]
        axes.plot(at, [point.score for point in own], **line_style(style) | {"linewidth": 0}, label=style.method)
        axes.vlines(at, [point.low for point in own], [point.high for point in own], color=style.colour, linewidth=0.9)
        mark_points(axes, [(x, point.high, point) for x, point in zip(at, own, strict=True)], colour=style.colour)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(explained(points, text=axis), fontsize=8, color=INK)
    axes.set_ylabel(value, fontsize=8, color=INK)
    axes.legend(fontsize=6.5, labelcolor=INK, frameon=False)
    words = "; ".join(
        f"{p.method} at {p.x:.3f}: {p.score:+.1f}{mark(p)} [{p.low:+.1f} to {p.high:+.1f}]" for p in points
    )
    return Drawing(name, title, f"{title}. {words}", figure)


def heat_map(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], *, name: str, title: str
) -> Drawing:
    """Similarities between -1 and 1 as colours, with their numbers where there is room."""
    figure, axes = _axes(2.6 + 0.3 * len(columns), 1.9 + 0.22 * len(rows))
    axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, fontsize=6, rotation=60, ha="right", color=INK)
    axes.set_yticks(range(len(rows)), rows, fontsize=6, color=INK)
    if len(rows) * len(columns) <= 1000:
        for i, j in np.ndindex(values.shape):
            dark = "#ffffff" if abs(values[i, j]) > 0.6 else "#111111"
            axes.text(j, i, f"{values[i, j]:z.1f}", ha="center", va="center", fontsize=5, color=dark)
    words = "; ".join(
        f"{row}: {', '.join(f'{value:z.1f}' for value in own)}" for row, own in zip(rows, values, strict=True)
    )
    return Drawing(name, title, f"{title}. {words}", figure)


def looks_of(methods: Mapping[str, int]) -> list[Style]:
    """A style per method by its number, so that a method looks the same in every figure of a study."""
    return [Style(method, number) for method, number in methods.items()]


def _axes(width: float, height: float):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=7, length=2, width=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=INK, linewidth=0.6)
    return figure, axes
