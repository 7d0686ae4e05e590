"""What a training stage shows of every step: a line of ``metrics.jsonl`` and the progress bar."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from clinprompt.stages.progress import Advance
from clinprompt.stages.run_folder import RunFolder
from clinprompt.training.gang import Member
from clinprompt.training.outcome import StepReport


def watcher(run: RunFolder, members: Sequence[Member], advance: Advance) -> Callable[[StepReport], None]:
    """Write down and show each step; of a run that resumes, steps that are done again replace their old lines."""
    names = {member.name for member in members}
    shown = 0

    def watch(report: StepReport) -> None:
        nonlocal shown
        if not shown:
            run.keep_metrics(lambda row: row["step"] < report.step or names.isdisjoint(row))
        run.metric(step=report.step, **report.losses)
        losses = report.losses.values()
        advance(report.step - shown, **({"loss": statistics.fmean(losses)} if losses else {}))
        shown = report.step

    return watch
