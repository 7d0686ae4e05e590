"""The ``manifest.json`` beside the parts of a prepared task: counts, hashes, sources, licence, overlaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinprompt import __version__
from clinprompt.data.atomic import whole_file
from clinprompt.data.faults import Faults
from clinprompt.data.files import file_hash, read_text
from clinprompt.data.overlap import overlap
from clinprompt.data.store import read_examples, write_examples
from clinprompt.errors import InputError
from clinprompt.schema.example import Example

FILE = "manifest.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileRecord(_Strict):
    """A file, named relative to its folder, with its SHA-256."""

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class PartRecord(FileRecord):
    """One part: its file, examples, groups, and how often each class, entity label and relation label is
    there.
    """

    examples: int
    groups: int
    labels: dict[str, int]
    relations: dict[str, int]


class OverlapRecord(_Strict):
    """Examples of ``second`` whose note is in ``first`` (exactly; but for blanks and case), and shared
    groups.
    """

    first: str
    second: str
    exact: int
    normalised: int
    groups: int


class Manifest(_Strict):
    """What a folder of prepared parts holds and where it comes from."""

    task: str
    clinprompt: str
    reader: str
    licence: str
    parts: dict[str, PartRecord]
    sources: list[FileRecord]
    overlaps: list[OverlapRecord]


def write_parts(
    folder: Path,
    parts: Mapping[str, Sequence[Example]],
    *,
    task: str,
    reader: str,
    licence: str = "",
    source_root: Path | None = None,
    source_files: Iterable[Path] = (),
) -> Manifest:
    """Write ``<part>.parquet`` for each part and, last, the manifest; source files are named below
    ``source_root``.
    """
    folder = Path(folder)
    records = {}
    for part, examples in parts.items():
        file = folder / f"{part}.parquet"
        write_examples(file, examples)
        records[str(part)] = _part_record(file, examples)
    manifest = Manifest(
        task=task,
        clinprompt=__version__,
        reader=reader,
        licence=licence,
        parts=records,
        sources=[FileRecord(file=_below(file, source_root), sha256=file_hash(file)) for file in sorted(source_files)],
        overlaps=_overlaps(parts),
    )
    with whole_file(folder / FILE) as file:
        file.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; :class:`InputError` when there is none or it has another form."""
    file = Path(folder) / FILE
    if not file.is_file():
        raise InputError("the folder has no manifest.json", where=str(folder), fix="prepare the data again")
    try:
        return Manifest.model_validate_json(read_text(file))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)[:4]
        )
    raise InputError(f"the manifest has another form: {faults}", where=str(file))


def verify(folder: Path, *, source_root: Path | None = None) -> Manifest:
    """The manifest, after each part (and with ``source_root`` each source file) was found to be the one it
    names.

    Raises one :class:`InputError` that lists all files that are missing or differ.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    faults = Faults()
    listed = [(folder, record) for record in manifest.parts.values()]
    if source_root is not None:
        listed += [(Path(source_root), record) for record in manifest.sources]
    for root, record in listed:
        with faults.gathered():
            _check_file(root / record.file, record.sha256)
    faults.raise_all()
    return manifest


def read_part(folder: Path, part: str) -> list[Example]:
    """The examples of one part, after its file was found to be the one the manifest names."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    if part not in manifest.parts:
        raise InputError(f"there is no part {part!r}", where=str(folder), allowed=", ".join(manifest.parts))
    record = manifest.parts[part]
    _check_file(folder / record.file, record.sha256)
    return read_examples(folder / record.file)


def _check_file(file: Path, expected: str) -> None:
    if not file.is_file():
        raise InputError("a file of the manifest is missing", where=str(file), fix="prepare the data again")
    if file_hash(file) != expected:
        raise InputError("the file is not the one the manifest names", where=str(file), fix="prepare the data again")


def _part_record(file: Path, examples: Sequence[Example]) -> PartRecord:
    labels: Counter[str] = Counter()
    relations: Counter[str] = Counter()
    for example in examples:
        labels.update(span.label for span in example.answer.spans)
        labels.update([example.answer.label] if example.answer.label is not None else [])
        relations.update(relation.label for relation in example.answer.relations)
    return PartRecord(
        file=file.name,
        sha256=file_hash(file),
        examples=len(examples),
        groups=len({example.group for example in examples}),
        labels=dict(sorted(labels.items())),
        relations=dict(sorted(relations.items())),
    )


def _below(file: Path, root: Path | None) -> str:
    if root is None:
        return file.name
    if not file.is_relative_to(root):
        raise InputError("a source file is not below the data root", where=str(file), allowed=str(root))
    return file.relative_to(root).as_posix()


def _overlaps(parts: Mapping[str, Sequence[Example]]) -> list[OverlapRecord]:
    names = list(parts)
    records = []
    for place, second in enumerate(names):
        for first in names[:place]:
            found = overlap(parts[first], parts[second])
            records.append(
                OverlapRecord(
                    first=str(first),
                    second=str(second),
                    exact=found.exact,
                    normalised=found.normalised,
                    groups=found.groups,
                )
            )
    return records
