"""What of a study is done: gangs whose results still rest on what is there, their runs, and what they started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.stages.atomic import plain
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.run_folder import RunFolder
from clinprompt.study.archive import Archive, GangRecord, PartRecord
from clinprompt.study.basis import Basis, recorded_basis, still_so
from clinprompt.study.expansion import PlannedGang, places
from clinprompt.study.gang import GangRuns
from clinprompt.study.job import Ingredients
from clinprompt.training.parallel import world

CELLS = ("targets", "across", "shots", "draws", "first_draw")
"""What of a gang's configuration says which cells it has and nothing of how one is made."""


def finished(planned: PlannedGang, archive: Archive, runs: Path, now: Basis) -> GangRecord | None:
    """The record of a gang that is done, whose runs are still there, and that rests on what is there ``now``."""
    record = archive.gang(planned.key)
    if record is None:
        return None
    return record if _there(record, runs) and still_so(record, now, runs) else None


def _there(record: GangRecord | None, runs: Path) -> bool:
    """Whether all runs of a gang are still there."""
    if record is None:
        return False
    paths = (record.adapt, record.evaluate, *(path for *_, path in record.elsewhere))
    return all((runs / path / "done.json").is_file() for path in paths)


def finished_before(gangs: Sequence[PlannedGang], archive: Archive, runs: Path) -> dict[str, bool]:
    """By key whether a gang is :func:`finished`, by the data and the backbone that its part was last run with."""
    parts = {slug: archive.part(slug) for slug in {one.part.slug for one in gangs}}
    known = {slug: recorded_basis(part, runs) if part else {} for slug, part in parts.items()}
    return {one.key: finished(one, archive, runs, known[one.part.slug]) is not None for one in gangs}


def cells_before(gangs: Sequence[PlannedGang], archive: Archive, runs: Path) -> dict[str, int]:
    """By key of a gang how many of its cells are in finished gangs that differ from it in their cells alone.

    A run takes these over. What a search finds for a gang rests on all its cells, so of these none are counted.
    """
    known = {key: settings for key, settings in archive.configurations().items() if _there(archive.gang(key), runs)}
    found = {}
    for one in gangs:
        own = plain(one.configuration.model_dump(mode="json"))
        alike = [settings for key, settings in known.items() if key != one.key and _apart(settings) == _apart(own)]
        places = set().union(*map(_places, alike)) if own["search"] is None else set()
        found[one.key] = len(_places(own) & places)
    return found


def _apart(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in CELLS}


def _places(settings: Mapping[str, Any]) -> set[tuple[str, int | str, int]]:
    first, draws = settings["first_draw"], settings["draws"]
    return set(places(settings["targets"], settings["shots"], first_draw=first, draws=draws))


def runs_of(record: GangRecord, runs: Path) -> GangRuns:
    """The run folders of a finished gang."""
    elsewhere = {(target, other): runs / path for target, other, path in record.elsewhere}
    return GangRuns(runs / record.adapt, runs / record.evaluate, elsewhere)


def given_of(record: PartRecord, runs: Path) -> Ingredients:
    """What a part started from, opened from its record without loading a backbone; sources as far as they are there."""

    def opened(paths: Mapping[str, str]) -> dict[str, Prepared]:
        return {name: _prepared(runs / path, name) for name, path in paths.items()}

    def done(path: str) -> RunFolder | None:
        return RunFolder(runs / path, state="done", lock=None, processes=world()) if path else None

    sources = {name: path for name, path in record.sources.items() if (runs / path).is_dir()}
    return Ingredients(
        opened(record.targets), opened(sources), opened(record.others),
        runs / record.metaprompt if record.metaprompt else None, done(record.teach), done(record.distill),
        record.backbone_name, record.backbone_parameters,
    )  # fmt: skip


def _prepared(path: Path, name: str) -> Prepared:
    if not path.is_dir():
        raise InputError(
            f"the prepared data of {name} is gone", where=str(path),
            fix="give the folder of the runs with --runs, or have `clinprompt study run` prepare it again",
        )  # fmt: skip
    return open_prepared(path)
