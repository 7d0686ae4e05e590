"""Which lines of a table were scored on examples that their method had seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clinprompt.stages.configs import LeakageSettings
from clinprompt.stages.leakage import LeakLine, leakage, read_leakage
from clinprompt.stages.prepared import Prepared
from clinprompt.stages.progress import Progress
from clinprompt.study.gang import pairs_of
from clinprompt.study.recipe import Recipe
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Line


def seen_before(
    recipe: Recipe,
    targets: Mapping[str, Prepared],
    sources: Mapping[str, Prepared],
    others: Mapping[str, Prepared],
    *,
    runs: Path,
    progress: Progress,
    say: Callable[[str, str], None],
) -> list[LeakLine]:
    """What of a recipe's scored examples stands in what its methods were trained on; says where any does."""
    elsewhere: dict[str, tuple[Path, ...]] = {}
    for target, other in pairs_of(recipe):
        elsewhere[target] = (*elsewhere.get(target, ()), others[other].path)
    settings = LeakageSettings(
        backbone=recipe.backbone.path,
        targets=tuple(item.path for item in targets.values()),
        sources=tuple(item.path for item in sources.values()),
        elsewhere=elsewhere,
        part=recipe.score.part,
        limit=recipe.score.limit,
        check=recipe.leakage,
    )
    found = read_leakage(leakage(settings, runs=runs, progress=progress).outputs)
    for line in found:
        if line.leaked:
            where = f"{line.role}, {line.seen}"
            say("leakage", f"{line.leaked} of {line.n} scored examples of {line.target} were seen before: {where}")
    return found


def sources_compared(leaks: Sequence[LeakLine]) -> list[str]:
    """The sources that scored examples were looked for in, each once; those of a finished metaprompt are not here."""
    return list(dict.fromkeys(leak.seen for leak in leaks if leak.role == "source"))


def examples_seen(leaks: Sequence[LeakLine]) -> int:
    """How many scored examples were seen anywhere, each once: in several places or parts of a study it is the same."""
    return len({(leak.scored, example) for leak in leaks for example in leak.examples})


def marked(
    lines: Sequence[Line], leaks: Sequence[LeakLine], *, learnt: Collection[str], names: Mapping[tuple[str, str], str]
) -> list[Line]:
    """The lines with the number of their examples that the method had seen.

    ``learnt`` are the methods that start from what the sources made, ``names`` how the table calls a target and what it
    is scored on. The pretraining counts for every method with a model, the target's own training and development part
    wherever there are shots (all of it, which is more than a few-shot draw sees), the sources for ``learnt`` ones.
    """
    seen: dict[tuple[str, str], set[str]] = {}
    for leak in leaks:
        seen.setdefault((names.get((leak.target, leak.scored), leak.target), leak.role), set()).update(leak.examples)

    def of(line: Line) -> int:
        roles = [] if line.method == TRIVIAL else ["pretraining"]
        if line.shots != "0":
            roles.append("own")
        if line.method in learnt:
            roles.append("source")
        return len(set().union(*(seen.get((line.target, role), set()) for role in roles)))

    return [replace(line, leakage=of(line)) for line in lines]
