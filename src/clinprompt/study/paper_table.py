"""The tables of a paper: methods of each part by targets, their mean, and what they cost; as a page and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clinprompt.study.backbone_mean import backbone_means
from clinprompt.study.collection import PartResult
from clinprompt.study.group_table import ALL, GroupLine
from clinprompt.study.legend import DAGGER, NO_WIDTH, OVER_BACKBONES, SEEN, has_no_width, span_text
from clinprompt.study.score_table import Column, Row, score_table
from clinprompt.study.study_line import Cost, costs, versions_text
from clinprompt.study.table import Line


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of scores, their mean over all targets where every one is there, and the cost of the method.

    A mean over backbones has no cost.
    """

    row: Row
    mean: GroupLine | None
    cost: Cost | None

    @property
    def scores(self) -> list[Line | GroupLine]:
        """The scores that are there, the mean the last."""
        return [*(entry.line for entry in self.row.entries if entry), *filter(None, [self.mean])]


@dataclass(frozen=True, slots=True)
class PaperBlock:
    """The rows of one part, or of the mean over backbones, at one shot count."""

    title: str
    rows: tuple[PaperRow, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """All parts that have the same targets; ``made_with`` are engines, dtypes, devices and versions of their gangs."""

    title: str
    columns: tuple[Column, ...]
    blocks: tuple[PaperBlock, ...]
    made_with: str = ""

    @property
    def rows(self) -> list[PaperRow]:
        """The rows of all blocks."""
        return [row for block in self.blocks for row in block.rows]

    @property
    def notes(self) -> list[str]:
        """What has to stand under this table, a sentence each."""
        scores = [line for row in self.rows for line in row.scores]
        found = {
            f"{DAGGER}: {SEEN}.": any(line.leakage for line in scores),
            NO_WIDTH: has_no_width(scores),
            OVER_BACKBONES: any(row.cost is None for row in self.rows),
        }
        return [text for text, holds in found.items() if holds]


def paper_tables(found: Sequence[PartResult]) -> list[PaperTable]:
    """A table per set of targets that have a result, in the order of the parts, means over backbones the last."""
    tables: dict[tuple[str, ...], list[PartResult]] = {}
    for one in found:
        tables.setdefault(one.part.recipe.targets, []).append(one)
    whole = [own for own in tables.values() if any(one.result for one in own)]
    return [_table(own, several=len(whole) > 1) for own in whole]


def _table(found: Sequence[PartResult], *, several: bool) -> PaperTable:
    has = [one for one in found if one.result is not None]
    # Lines of all parts first: the columns are those of every target that any of them has.
    columns = score_table([line for one in has if one.result for line in one.result.lines]).columns
    blocks = []
    for one in has:
        assert one.result is not None
        title = one.part.title if len(has) > 1 else ""
        cost = {line.method: costs(one, line.method) for line in one.result.lines}
        blocks += _blocks(title, one.result.lines, one.result.groups.lines, columns, group=_all(one), cost=cost)
    for mean in backbone_means(found):
        blocks += _blocks(mean.title, mean.lines, mean.means, columns, group=_all(has[0]), cost={})
    title = ", ".join(dict.fromkeys(one.part.partition for one in has)) if several else ""
    return PaperTable(title, columns, tuple(blocks), _made_with(has))


def _blocks(
    title: str,
    lines: Sequence[Line],
    means: Sequence[GroupLine],
    columns: Sequence[Column],
    *,
    group: str,
    cost: Mapping[str, Cost],
) -> Iterator[PaperBlock]:
    table = score_table(lines)
    at = {(line.method, line.shots): line for line in means if line.group == group}
    for block in table.blocks:
        rows = (
            PaperRow(
                Row(row.method, row.shots, _placed(row, table.columns, columns)),
                at.get((row.method, row.shots)),
                cost.get(row.method),
            )
            for row in block.rows
        )
        yield PaperBlock(": ".join(filter(None, (title, block.title))), tuple(rows))


def _made_with(has: Sequence[PartResult]) -> str:
    records = [record for one in has for record in one.records.values()]
    told = {
        "engine": dict.fromkeys(record.engine for record in records),
        "dtype": dict.fromkeys(record.dtype for record in records),
        "device": dict.fromkeys(record.device for record in records),
        "versions": dict.fromkeys(map(versions_text, records)),
    }
    return "; ".join(f"{name} {', '.join(filter(None, values))}" for name, values in told.items() if any(values))


def _all(one: PartResult) -> str:
    assert one.result is not None
    groups = one.result.groups.groups
    return ALL if ALL in groups else next(iter(groups))


def _placed(row: Row, own: Sequence[Column], columns: Sequence[Column]) -> tuple:
    at = {column.target: entry for column, entry in zip(own, row.entries, strict=True)}
    return tuple(at.get(column.target) for column in columns)


def latex(table: PaperTable, *, caption: str) -> str:
    """A table for LaTeX with the package booktabs; scores with their 95 % intervals, bold the best of a shot count.

    Below the head stands how many examples and documents of each target are scored, in each row of how many seeds and
    draws it is, and under the table what its marks mean and what it was made with.
    """
    heads = [*(escaped(f"{column.target} ({column.metric})") for column in table.columns)]
    columns = ["method", "seeds", "draws", *heads, "mean", "trained", "kB", "s", "GiB"]
    width = len(columns)
    rests_on = ["n (documents)", "", "", *(_examples(table, place) for place in range(len(heads)))]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}", "\\centering", f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}", "\\toprule", " & ".join(columns) + " \\\\",
        " & ".join(rests_on + [""] * (width - len(rests_on))).replace("–", "--") + " \\\\",
    ]  # fmt: skip
    for block in table.blocks:
        lines += ["\\midrule", f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{escaped(block.title)}}}}} \\\\"]
        for one in block.rows:
            scores = [_latex_entry(entry and entry.line, best=bool(entry and entry.best)) for entry in one.row.entries]
            runs = [span_text([getattr(line, name) for line in one.scores]) for name in ("seeds", "draws")]
            cells = [escaped(one.row.method), *runs, *scores, _latex_entry(one.mean), *_latex_cost(one.cost)]
            lines.append(" & ".join(cells).replace("–", "--") + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", *_latex_notes(table), "\\end{table}"]
    return "\n".join(lines) + "\n"


def _examples(table: PaperTable, place: int) -> str:
    """Examples and documents of a target, from the fewest to the most over the rows."""
    own = [entry.line for row in table.rows if (entry := row.row.entries[place])]
    return f"{span_text([line.n for line in own])} ({span_text([line.documents for line in own])})"


def _latex_cost(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["--"] * 4
    spent = [seconds_text(cost.adapt_seconds), gib_text(cost.peak_bytes)]
    return [f"{cost.trainable:,}", f"{cost.storage_bytes / 1000:.0f}", *spent]


def _latex_notes(table: PaperTable) -> list[str]:
    told = (
        "n: scored examples of a target; intervals are over documents, seeds and draws. Bold: the highest score of its "
        "target and shot count."
    )
    made_with = f"Made with {table.made_with}." if table.made_with else ""
    notes = escaped(" ".join(filter(None, (told, *table.notes, made_with)))).replace("–", "--")
    return ["\\par\\smallskip", f"\\begin{{minipage}}{{\\linewidth}}\\footnotesize {notes}\\end{{minipage}}"]


def _latex_entry(line, *, best: bool = False) -> str:  # type: ignore[no-untyped-def]
    if line is None:
        return "--"
    score = f"\\textbf{{{line.score:.1f}}}" if best else f"{line.score:.1f}"
    mark = "$^\\dagger$" if line.leakage else ""
    return f"{score}{mark} {{\\scriptsize [{line.low:.1f}, {line.high:.1f}]}}"


def escaped(text: str) -> str:
    """A text as LaTeX shows it.

    >>> escaped("a_b & 5 %")
    'a\\\\_b \\\\& 5 \\\\%'
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", DAGGER: r"$^\dagger$"}
    special |= {sign: "\\" + sign for sign in "&%$#_{}"}
    return "".join(special.get(sign, sign) for sign in text)


def seconds_text(seconds: float | None) -> str:
    """Seconds as a table shows them."""
    return "–" if seconds is None else f"{seconds:,.0f}"


def gib_text(count: int | None) -> str:
    """Bytes as GiB."""
    return "–" if count is None else f"{count / 1024**3:.2f}"
