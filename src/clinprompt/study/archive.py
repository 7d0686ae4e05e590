"""The folder of a study: a record of each finished gang and part, and the gaps, one line each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.stages.atomic import write_json

GAPS = "gaps.jsonl"


@dataclass(frozen=True, slots=True)
class GangRecord:
    """A finished gang: where its runs are (relative to the folder of runs) and what it took.

    ``seconds`` are of adapting and of scoring, empty where an interrupted run was resumed or a finished one reused and
    the time is not known; ``peak_bytes`` is the most memory in use at once, of the device or of the process. ``began``
    tells gaps of this run and later ones from those that it closed. ``rests_on`` has the digests of its data and its
    backbone; records of before have none.
    """

    key: str
    part: str
    method: str
    seed: int
    adapt: str
    evaluate: str
    elsewhere: tuple[tuple[str, str, str], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict, hash=False)
    peak_bytes: int | None = None
    device: str = ""
    engine: str = ""
    dtype: str = ""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    rates: tuple[float, ...] = ()
    began: str = ""
    rests_on: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PartRecord:
    """What the gangs of a part start from: prepared tasks by name and the runs of the metaprompt, all relative.

    ``variants`` are the runs that distilled other metaprompts, by name; ``backbone`` is the fingerprint.
    """

    backbone_name: str
    backbone_parameters: int
    targets: Mapping[str, str] = field(default_factory=dict, hash=False)
    sources: Mapping[str, str] = field(default_factory=dict, hash=False)
    others: Mapping[str, str] = field(default_factory=dict, hash=False)
    metaprompt: str = ""
    teach: str = ""
    distill: str = ""
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)
    seconds: Mapping[str, float] = field(default_factory=dict, hash=False)
    backbone: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A gang that failed, or one cell of it (``target``, ``shots``, ``draw``), and why; never text of a note."""

    key: str
    part: str
    method: str
    seed: int
    reason: str
    error: str
    target: str = ""
    shots: str = ""
    draw: int = 0
    when: str = ""

    def __str__(self) -> str:
        what = f", {self.target}, {self.shots} shots, draw {self.draw}" if self.target else ""
        return f"{self.part}: {self.method}, seed {self.seed}{what}: {self.reason}"


class Archive:
    """The records of a study in a folder that several workers may write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def gang(self, key: str) -> GangRecord | None:
        """The record of a finished gang."""
        content = self._read(self.folder / "gangs" / f"{key}.json")
        if content is None:
            return None
        elsewhere = tuple((one, other, path) for one, other, path in content.pop("elsewhere"))
        return GangRecord(**content | {"elsewhere": elsewhere, "rates": tuple(content["rates"])})

    def write_gang(self, record: GangRecord, configuration: Mapping[str, Any]) -> None:
        """Keep the record of a finished gang, and beside it the whole configuration that its key is made of."""
        write_json(self.folder / "configurations" / f"{record.key}.json", dict(configuration))
        write_json(self.folder / "gangs" / f"{record.key}.json", asdict(record))

    def configurations(self) -> dict[str, dict[str, Any]]:
        """The whole configurations of the gangs that have finished here, by key."""
        files = sorted((self.folder / "configurations").glob("[!.]*.json"))
        return {file.stem: found for file in files if (found := self._read(file)) is not None}

    def part(self, slug: str) -> PartRecord | None:
        """What the gangs of a part start from, as far as it is there."""
        content = self._read(self.folder / "parts" / f"{slug}.json")
        return None if content is None else PartRecord(**content)

    def write_part(self, slug: str, record: PartRecord) -> None:
        """Keep what the gangs of a part start from."""
        write_json(self.folder / "parts" / f"{slug}.json", asdict(record))

    def search_file(self, key: str) -> Path:
        """Where the trials of a search are kept, by the key of the gang that searched."""
        return self.folder / "searches" / f"{key}.json"

    def add_gap(self, gap: Gap) -> None:
        """Append a gap; lines of several workers do not mix, and half a line that a kill left stays by itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(gap), ensure_ascii=False) + "\n"
        handle = os.open(self.folder / GAPS, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(handle).st_size
            whole = size == 0 or os.pread(handle, 1, size - 1) == b"\n"
            os.write(handle, (line if whole else f"\n{line}").encode())
        finally:
            os.close(handle)

    def gaps(self) -> list[Gap]:
        """The gaps that are still open: the last of each gang that has not finished since, and cells that it lost.

        A gang that was done is run again when its run folders were removed; what fails then is a gap again.
        """
        last: dict[tuple[str, str, str, int], Gap] = {}
        for gap in self._gap_lines():
            last[gap.key, gap.target, gap.shots, gap.draw] = gap
        return [gap for gap in last.values() if (record := self.gang(gap.key)) is None or _since(gap, record)]

    def _gap_lines(self) -> Iterator[Gap]:
        file = self.folder / GAPS
        whole = file.read_text(encoding="utf-8").rpartition("\n")[0] if file.exists() else ""
        for line in whole.splitlines():
            try:
                yield Gap(**json.loads(line))
            except (ValueError, TypeError):  # half a line that a kill left
                continue

    def _read(self, file: Path) -> dict[str, Any] | None:
        if not file.is_file():
            return None
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:
            raise InputError(
                "this record of the study cannot be read", where=str(file), fix="remove it; the gang is reused"
            ) from error


def _since(gap: Gap, record: GangRecord) -> bool:
    """Whether the gap is of the run of this record or of a later one; records of before do not say when they began."""
    return gap.when >= record.began if record.began else bool(gap.target)
