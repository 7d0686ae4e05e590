"""Parts of a study with made-up scores, as a report finds them: nothing was run."""

from __future__ import annotations

from collections.abc import Sequence

from clinprompt.stages.leakage import LeakLine
from clinprompt.study.collection import PartResult
from clinprompt.study.difference import differences
from clinprompt.study.expansion import Part, parts_of, plan_gang
from clinprompt.study.gang import gangs_of
from clinprompt.study.group_table import group_table
from clinprompt.study.job import JobResult
from clinprompt.study.rank_table import rank_table
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.study_file import Study
from clinprompt.study.table import Line
from tests.study.story import COMPARE, TARGETS, made_up_lines, made_up_replicates

SEEN = LeakLine("lab-flag", "lab-flag", "own", "lab-flag", 200, 3, 0, 0, 0, 0, 3, 1.5, ("a", "b", "c"))


def made_study(*, backbones: Sequence[str] = ("small",), **more: object) -> Study:
    """A study of the made-up lines' methods and targets, with other fields where ``more`` gives them."""
    methods = {"instruction": {"kind": "instruction"}} | {
        name: {"kind": "prompt-tuning"} for name in ("mpt", "prompt-tuning", "lora", "fine-tuning")
    }
    four = dict(zip(("neither", "decomposition", "distillation", "both"), list(methods)[1:], strict=True))
    return Study.model_validate(
        {
            "name": "made",
            "backbones": {name: {"head_width": 64 + number} for number, name in enumerate(backbones)},
            "tasks": {"targets": list(TARGETS)},
            "methods": methods,
            "compare": COMPARE,
            "ablation": four,
            "shots": [0, 5],
            **more,
        }
    )


def few_lines() -> list[Line]:
    """The made-up lines of 0 and 5 shots, and the trivial ones."""
    return [line for line in made_up_lines() if line.shots in ("0", "5") or line.method == TRIVIAL]


def made_part(part: Part, lines: Sequence[Line], *, leakage: Sequence[LeakLine] = ()) -> PartResult:
    """A part with the tables of these lines, without gangs that are done."""
    drawn = made_up_replicates(list(lines))
    groups = group_table(lines, drawn)
    compared = differences(lines, groups, drawn, part.recipe.compare)
    result = JobResult(
        lines=tuple(lines), given_heads=(), groups=groups, differences=tuple(compared),
        ranks=tuple(rank_table(lines, groups)), leakage=tuple(leakage), cells=(), drawn=drawn, adapted={}, targets={},
        sources={}, metaprompt=None, teach=None, distill=None, backbone_name=part.backbone, backbone_parameters=1000,
    )  # fmt: skip
    return PartResult(part, tuple(plan_gang(part, gang) for gang in gangs_of(part.recipe)), {}, result)


def made_parts(study: Study, *lines: Sequence[Line], leakage: Sequence[LeakLine] = ()) -> list[PartResult]:
    """Every part of a study with lines of its own, by default few of the made-up ones."""
    parts = parts_of(study)
    return [
        made_part(part, own, leakage=leakage)
        for part, own in zip(parts, lines or [few_lines()] * len(parts), strict=True)
    ]
