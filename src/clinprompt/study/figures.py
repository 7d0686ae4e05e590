"""Few-shot curves: a small panel per target or group of targets, which a page can colour for light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinprompt.study.group_table import GroupLine, GroupTable
from clinprompt.study.legend import Marked, mark
from clinprompt.study.score_table import TRIVIAL, score_table, shot_order, shots_title
from clinprompt.study.table import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#5b3fa0")
"""Colours that people with a colour vision deficiency can tell apart (after Okabe, Ito), one per method."""

_MARKERS = "osD^vPX"
_TRIVIAL_COLOUR = "#777776"
INK, GRID = "#010203", "#fdfcfb"  # stand-ins; a page says what they are


@dataclass(frozen=True, slots=True)
class Style:
    """How a method is drawn in every panel; ``number`` -1 is the trivial baseline."""

    method: str
    number: int

    @property
    def colour(self) -> str:
        """The stand-in that becomes ``var(--m0)``, ``var(--m1)`` … in the page."""
        return COLOURS[self.number % len(COLOURS)] if self.number >= 0 else _TRIVIAL_COLOUR

    @property
    def marker(self) -> str:
        """The shape of its points: methods differ by shape, not by colour alone."""
        return _MARKERS[(self.number + self.number // len(COLOURS)) % len(_MARKERS)]


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure as SVG with its title and the same in words."""

    title: str
    svg: str
    words: str


def styles(lines: Sequence[Line]) -> list[Style]:
    """One style per method in the order of the lines, the trivial baseline last."""
    methods = [name for name in dict.fromkeys(line.method for line in lines) if name != TRIVIAL]
    found = [Style(name, number) for number, name in enumerate(methods)]
    return found + [Style(TRIVIAL, -1)] * any(line.method == TRIVIAL for line in lines)


def panels(lines: Sequence[Line]) -> list[Panel]:
    """A panel per target: score in percent over shot counts, a line with 95 % intervals per method."""
    return _panels(by_target(lines), styles(lines), prefix="p")


def group_panels(table: GroupTable, lines: Sequence[Line], *, prefix: str = "g") -> list[Panel]:
    """A panel per group: the mean over its targets, drawn like the panels of the ``lines``."""
    return _panels(by_group(table), styles(lines), prefix=prefix)


def by_target(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines of each target by the title of its panel."""
    return {
        f"{column.target} · {column.metric}": [line for line in lines if line.target == column.target]
        for column in score_table(lines).columns
    }


def by_group(table: GroupTable) -> dict[str, list[GroupLine]]:
    """The lines of each group of targets by the title of its panel."""
    return {
        f"{group} · mean of {len(targets)} target{'s' * (len(targets) > 1)}": [
            line for line in table.lines if line.group == group
        ]
        for group, targets in table.groups.items()
    }


def key(style: Style, *, prefix: str = "k") -> str:
    """The line and marker of a method as a small SVG; each legend of a page needs a ``prefix`` of its own."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.42, 0.2), facecolor="none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.plot([0.04, 0.5, 0.96], [0.5] * 3, markevery=[1], **line_style(style))
    return svg_text(figure, prefix=f"{prefix}{style.number + 1}", words="")


def css_colours() -> dict[str, str]:
    """The page's variables for the methods' colours, as drawn on a light ground."""
    return {f"--m{number}": colour for number, colour in enumerate(COLOURS)} | {"--mt": _TRIVIAL_COLOUR}


def _panels(content: Mapping[str, Sequence[Line | GroupLine]], looks: Sequence[Style], *, prefix: str) -> list[Panel]:
    """A panel per title, all with the same shot counts."""
    shots = shots_of(content)
    found = []
    for number, (title, own) in enumerate(content.items()):
        words = f"{title}. " + words_of(own)
        found.append(
            Panel(title, svg_text(panel_figure(own, looks, shots), prefix=f"{prefix}{number}", words=words), words)
        )
    return found


def shots_of(content: Mapping[str, Sequence[Line | GroupLine]]) -> list[str]:
    """The shot counts of all panels from few to many, without that of the trivial baseline, which has none."""
    return shot_order(line.shots for own in content.values() for line in own if line.method != TRIVIAL)


def panel_figure(lines: Sequence[Line | GroupLine], looks: Sequence[Style], shots: Sequence[str]) -> Figure:
    """The lines over their ``shots``: points with 95 % intervals, bands between them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 2.35), facecolor="none")
    draw_panel(figure.add_axes((0.115, 0.17, 0.87, 0.79)), lines, looks, shots)
    return figure


def draw_panel(axes: Axes, lines: Sequence[Line | GroupLine], looks: Sequence[Style], shots: Sequence[str]) -> None:
    """The same on axes of a figure that has several."""
    axes.set_facecolor("none")
    axes.set(ylim=(0, 100), yticks=range(0, 101, 20), xlim=(-0.5, max(len(shots), 1) - 0.5))
    axes.set_xticks(range(len(shots)), shots)
    axes.set_xlabel("shots", fontsize=8, color=INK, labelpad=2)
    axes.tick_params(colors=INK, labelsize=8, length=2, width=0.6)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=INK, linewidth=0.6)
    trained = [style for style in looks if style.number >= 0]
    for style in trained:
        own = sorted((line for line in lines if line.method == style.method), key=lambda line: shots.index(line.shots))
        aside = 0.11 * (style.number - (len(trained) - 1) / 2) * min(1.0, 6 / len(trained))
        x = [shots.index(line.shots) + aside for line in own]
        ends = [line.low for line in own], [line.high for line in own]
        axes.plot(x, [line.score for line in own], **line_style(style))
        axes.vlines(x, *ends, color=style.colour, linewidth=1.2, clip_on=False)
        mark_points(axes, [(at, line.high, line) for at, line in zip(x, own, strict=True)], colour=style.colour)
        if len(x) > 1:
            axes.fill_between(x, *ends, color=style.colour, alpha=0.12, linewidth=0)
    for line in lines:
        if line.method == TRIVIAL:  # it has no shots of its own
            axes.axhline(line.score, **line_style(Style(TRIVIAL, -1)))
            mark_points(axes, [(axes.get_xlim()[0], line.score, line)], colour=_TRIVIAL_COLOUR)


def mark_points(axes: Axes, points: Sequence[tuple[float, float, Marked]], *, colour: str) -> None:
    """A mark above each point ``(x, y, what is drawn there)`` of which scored examples were seen before."""
    for x, y, found in points:
        if found.leakage:
            axes.annotate(
                mark(found), (x, y), (0, 1), textcoords="offset points", ha="center", fontsize=8, color=colour, zorder=6
            )


def line_style(style: Style) -> dict[str, object]:
    """How matplotlib draws a method's line."""
    if style.number < 0:
        return {"color": style.colour, "linewidth": 1.1, "linestyle": (0, (4, 3))}
    return {
        "color": style.colour, "linewidth": 1.3, "marker": style.marker, "markersize": 4.2,
        "markeredgewidth": 0, "clip_on": False,
    }  # fmt: skip


def words_of(lines: Sequence[Line | GroupLine]) -> str:
    """What a panel shows, for those who do not see it."""
    said = [
        f"{line.method}, {shots_title(line.shots)}: {line.score:.1f}{mark(line)}, "
        f"from {line.low:.1f} to {line.high:.1f}"
        for line in lines
    ]
    return "; ".join(said) + "."


def svg_text(figure: Figure, *, prefix: str, words: str) -> str:
    """The figure as an SVG element with ids of its own, in the page's colours, referring to nothing outside."""
    import matplotlib
    from markupsafe import escape
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clinprompt", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(stream, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = stream.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}-", text)
    variables = {colour: f"var({name})" for name, colour in css_colours().items()}
    for stand_in, shown in {INK: "currentColor", GRID: "var(--line)", **variables}.items():
        text = text.replace(stand_in, shown)
    described = f'role="img" aria-label="{escape(words)}"' if words else 'aria-hidden="true"'
    return text.replace("<svg ", f"<svg {described} ", 1)
