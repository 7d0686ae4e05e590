"""The ``manifest.json`` beside the parts of a prepared task: counts, hashes, sources, licence, overlaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinprompt import __version__
from clinprompt.data.atomic import whole_file
from clinprompt.data.digests import PartDigests
from clinprompt.data.faults import Faults
from clinprompt.data.files import file_hash, read_text
from clinprompt.data.store import ExampleWriter, read_examples, writing
from clinprompt.errors import InputError
from clinprompt.schema.example import Example, Split

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
    examples: Iterable[tuple[str, Example]],
    *,
    task: str,
    reader: str,
    licence: str = "",
    source_root: Path | None = None,
    source_files: Iterable[Path] = (),
) -> Manifest:
    """Write each example into the ``<part>.parquet`` of its part and, last, the manifest.

    Examples are not held: of each there stay the digests of its note and group. Source files are named below
    ``source_root``.
    """
    folder = Path(folder)
    parts: dict[str, _Part] = {}
    with ExitStack() as opened:
        for part, example in examples:
            if part not in parts:
                parts[part] = _Part(opened.enter_context(writing(folder / f"{part}.parquet")))
            parts[part].add(example)
    order = [split.value for split in Split]
    parts = {str(part): parts[part] for part in sorted(parts, key=order.index)}
    records = {part: counted.record(folder / f"{part}.parquet") for part, counted in parts.items()}
    manifest = Manifest(
        task=task,
        clinprompt=__version__,
        reader=reader,
        licence=licence,
        parts=records,
        sources=[FileRecord(file=_below(file, source_root), sha256=file_hash(file)) for file in sorted(source_files)],
        overlaps=_overlaps({part: counted.digests for part, counted in parts.items()}),
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


def read_part(folder: Path, part: str) -> Iterator[Example]:
    """The examples of one part, some at a time, after its file was found to be the one the manifest names."""
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


class _Part:
    """A part that is being written, counted on the way."""

    def __init__(self, writer: ExampleWriter) -> None:
        self.writer, self.digests = writer, PartDigests()
        self.examples = 0
        self.labels, self.relations = Counter[str](), Counter[str]()

    def add(self, example: Example) -> None:
        answer = example.answer
        self.writer.add(example)
        self.digests.add(example)
        self.examples += 1
        self.labels.update(span.label for span in answer.spans)
        self.labels.update([answer.label] if answer.label is not None else [])
        self.relations.update(relation.label for relation in answer.relations)

    def record(self, file: Path) -> PartRecord:
        return PartRecord(
            file=file.name,
            sha256=file_hash(file),
            examples=self.examples,
            groups=self.digests.groups.distinct(),
            labels=dict(sorted(self.labels.items())),
            relations=dict(sorted(self.relations.items())),
        )


def _below(file: Path, root: Path | None) -> str:
    if root is None:
        return file.name
    if not file.is_relative_to(root):
        raise InputError("a source file is not below the data root", where=str(file), allowed=str(root))
    return file.relative_to(root).as_posix()


def _overlaps(parts: Mapping[str, PartDigests]) -> list[OverlapRecord]:
    names = list(parts)
    return [
        OverlapRecord(
            first=first,
            second=second,
            exact=parts[second].exact.times_in(parts[first].exact),
            normalised=parts[second].normalised.times_in(parts[first].normalised),
            groups=parts[second].groups.shared_with(parts[first].groups),
        )
        for place, second in enumerate(names)
        for first in names[:place]
    ]
