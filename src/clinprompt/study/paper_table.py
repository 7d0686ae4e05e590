"""The tables of a paper: methods of each part by targets, their mean, and what they cost; as a page and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.study.collection import PartResult
from clinprompt.study.group_table import ALL, GroupLine
from clinprompt.study.legend import DAGGER
from clinprompt.study.score_table import Column, Row, score_table
from clinprompt.study.study_line import Cost, costs


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of scores, their mean over all targets where every one is there, and the cost of the method."""

    row: Row
    mean: GroupLine | None
    cost: Cost


@dataclass(frozen=True, slots=True)
class PaperBlock:
    """The rows of one part at one shot count."""

    title: str
    rows: tuple[PaperRow, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """All parts that have the same targets."""

    title: str
    columns: tuple[Column, ...]
    blocks: tuple[PaperBlock, ...]


def paper_tables(found: Sequence[PartResult]) -> list[PaperTable]:
    """A table per set of targets that have a result, in the order of the parts."""
    tables: dict[tuple[str, ...], list[PartResult]] = {}
    for one in found:
        if one.result is not None:
            tables.setdefault(one.part.recipe.targets, []).append(one)
    return [_table(own, several=len(tables) > 1) for own in tables.values()]


def _table(found: Sequence[PartResult], *, several: bool) -> PaperTable:
    # Lines of all parts first: the columns are those of every target that any of them has.
    columns = score_table([line for one in found if one.result for line in one.result.lines]).columns
    blocks = []
    for one in found:
        assert one.result is not None
        means = {(line.method, line.shots): line for line in one.result.groups.lines if line.group == _all(one)}
        for block in score_table(one.result.lines).blocks:
            own = score_table(one.result.lines).columns
            rows = tuple(
                PaperRow(
                    Row(row.method, row.shots, _placed(row, own, columns)),
                    means.get((row.method, row.shots)),
                    costs(one, row.method),
                )
                for row in block.rows
            )
            title = f"{one.part.title}: {block.title}" if len(found) > 1 else block.title
            blocks.append(PaperBlock(title, rows))
    title = ", ".join(dict.fromkeys(one.part.partition for one in found)) if several else ""
    return PaperTable(title, columns, tuple(blocks))


def _all(one: PartResult) -> str:
    assert one.result is not None
    groups = one.result.groups.groups
    return ALL if ALL in groups else next(iter(groups))


def _placed(row: Row, own: Sequence[Column], columns: Sequence[Column]) -> tuple:
    at = {column.target: entry for column, entry in zip(own, row.entries, strict=True)}
    return tuple(at.get(column.target) for column in columns)


def latex(table: PaperTable, *, caption: str) -> str:
    """A table for LaTeX with the package booktabs; scores with their 95 % intervals, bold the best of a shot count."""
    heads = [*(escaped(f"{column.target} ({column.metric})") for column in table.columns)]
    columns = ["method", *heads, "mean", "trained", "kB", "s", "GiB"]
    width = len(columns)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}", "\\centering", f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}", "\\toprule", " & ".join(columns) + " \\\\",
    ]  # fmt: skip
    for block in table.blocks:
        lines += ["\\midrule", f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{escaped(block.title)}}}}} \\\\"]
        for one in block.rows:
            scores = [_latex_entry(entry and entry.line, best=bool(entry and entry.best)) for entry in one.row.entries]
            spent = [seconds_text(one.cost.adapt_seconds), gib_text(one.cost.peak_bytes)]
            cost = [f"{one.cost.trainable:,}", f"{one.cost.storage_bytes / 1000:.0f}", *spent]
            cells = [escaped(one.row.method), *scores, _latex_entry(one.mean), *cost]
            lines.append(" & ".join(cells).replace("–", "--") + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


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
