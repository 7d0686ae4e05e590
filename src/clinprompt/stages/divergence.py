"""How far the training texts of targets are from those of the sources of a metaprompt: numbers, no text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clinprompt.data.words import word_counts
from clinprompt.metrics.divergence import jensen_shannon
from clinprompt.schema.example import Example, Split
from clinprompt.stages.atomic import write_json
from clinprompt.stages.methods import Settings
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder, open_run

STAGE, VERSION = "divergence", 1
FILE = "divergence.json"


class DivergenceSettings(Settings):
    """Prepared targets, and the prepared sources that they are compared with."""

    targets: tuple[Path, ...]
    sources: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Divergences:
    """Jensen-Shannon divergences of the words of a target's training part, in bits, 0 to 1.

    ``pooled`` is that from all sources together, ``sources`` that from each. ``halves`` is what is between two halves
    of the target itself, divided by patient or document: samples so small differ so much. ``None`` for a single one.
    """

    target: str
    pooled: float
    halves: float | None
    sources: Mapping[str, float]

    @property
    def nearest(self) -> str:
        """The source from which the target is least far."""
        return min(self.sources, key=lambda name: self.sources[name])


def divergence(settings: DivergenceSettings, *, runs: Path, progress: Progress = silent) -> RunFolder:
    """Compare each target with the sources; writes ``outputs/divergence.json``. Tasks without words are left out."""
    targets = [open_prepared(path) for path in settings.targets]
    sources = [open_prepared(path) for path in settings.sources]
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs={},
        fingerprints={
            f"{role} {number}": item.digest
            for role, items in (("target", targets), ("source", sources))
            for number, item in enumerate(items)
        },
    )
    if run.done:
        return run
    with run, progress(STAGE, len(targets) + len(sources)) as advance:
        known: dict[str, Counter[str]] = {}
        for item in sources:
            if counts := word_counts(item.examples(Split.train)):
                known[item.task.name] = counts
            advance(1)
        pooled = sum(known.values(), Counter[str]())
        found = []
        for item in targets:
            examples = item.part(Split.train)
            if pooled and (counts := word_counts(examples)):
                far = {name: jensen_shannon(counts, theirs) for name, theirs in known.items()}
                found.append(Divergences(item.task.name, jensen_shannon(counts, pooled), _halves(examples), far))
            advance(1)
        write_json(run.outputs / FILE, {"targets": [asdict(one) for one in found]})
        run.finish({"targets": len(found), "sources": len(known)})
    return run


def read_divergences(folder: Path) -> list[Divergences]:
    """What a finished run has written."""
    return [Divergences(**one) for one in json.loads((folder / FILE).read_text(encoding="utf-8"))["targets"]]


def _halves(examples: Sequence[Example]) -> float | None:
    groups = {name: place for place, name in enumerate(dict.fromkeys(example.group for example in examples))}
    halves = [word_counts(one for one in examples if groups[one.group] % 2 == side) for side in (0, 1)]
    return jensen_shannon(*halves) if all(halves) else None
