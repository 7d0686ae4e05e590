"""What results rest on beside their settings: the content of the prepared tasks, and the backbone's weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from clinprompt.errors import InputError
from clinprompt.stages.methods import from_sources
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.study.archive import GangRecord, PartRecord
from clinprompt.study.expansion import PlannedGang

BACKBONE = "backbone"
Digest = TypeVar("Digest", str, str | None)
Basis = Mapping[str, str | None]
"""``target NAME``, ``source NAME``, ``other NAME`` and ``backbone`` with a digest each; ``None``: it is gone."""


def basis(
    targets: Mapping[str, Prepared], sources: Mapping[str, Prepared], others: Mapping[str, Prepared], backbone: str
) -> dict[str, str]:
    """What a part rests on; ``backbone`` is a fingerprint, left out where it is not known."""
    roles = {"target": targets, "source": sources, "other": others}
    found = {f"{role} {name}": item.content for role, items in roles.items() for name, item in items.items()}
    return found | ({BACKBONE: backbone} if backbone else {})


def recorded_basis(record: PartRecord, runs: Path) -> dict[str, str | None]:
    """What a part rested on when it was last run, as far as its prepared tasks are still there."""
    roles = {"target": record.targets, "source": record.sources, "other": record.others}
    found = {f"{role} {name}": _content(runs / path) for role, items in roles.items() for name, path in items.items()}
    return found | ({BACKBONE: record.backbone} if record.backbone else {})


def of_gang(planned: PlannedGang, part: Mapping[str, Digest]) -> dict[str, Digest]:
    """What of a part's basis decides the results of a gang: sources only where it starts from them."""
    recipe = planned.part.recipe
    learns = from_sources(recipe.methods[planned.gang.method]) and recipe.metaprompt is None
    return {name: digest for name, digest in part.items() if learns or not name.startswith("source ")}


def still_so(record: GangRecord, now: Basis, runs: Path) -> bool:
    """Whether a gang rests on what is there ``now``; what is not known now does not speak against it.

    Records of before do not say it: their adapt run does of backbone and targets.
    """
    rests_on = record.rests_on or _of_run(runs / record.adapt, runs)
    return all(now.get(name, digest) == digest for name, digest in rests_on.items())


def _of_run(adapt: Path, runs: Path) -> dict[str, str]:
    entries = json.loads((adapt / "inputs.json").read_text(encoding="utf-8"))["inputs"]
    found = {BACKBONE: entries[BACKBONE]["sha256"]} if BACKBONE in entries else {}
    for name, entry in entries.items():
        if entry["kind"] == "folder" and (content := _content(runs / entry["path"])):
            found[f"target {name}"] = content
    return found


def _content(path: Path) -> str | None:
    try:
        return open_prepared(path).content
    except InputError:
        return None
