"""Which reader, with which options, reads a file or folder: guessed from names and the beginning of the content."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from clinprompt.data.columns import roles
from clinprompt.data.files import numbered_lines, parse_json, read_text, read_xml, walked
from clinprompt.data.shapes import JSON_SHAPES, RECORD_SHAPES, SUFFIX_SHAPES, XML_SHAPES, of_lines
from clinprompt.data.tables import PARQUET, records_of, rows_of
from clinprompt.errors import InputError

ROWS = 40
"""Lines, rows or records that a guess looks at."""

_JSON = (".json", ".jsonl", ".ndjson")
_TABLES = (".csv", ".tsv")
_LINES = (".txt", ".tsv", ".conll", ".bio", ".iob", ".iob2", ".pubtator")
KINDS = (*_JSON, *_TABLES, *_LINES, *PARQUET, ".xml", ".xlsx")
"""Endings of files whose format shows in their content."""
_ONE_FILE = ("aci_bench", "headqa", "medmcqa", "mediqa_rqe", "meqsum", "mts_dialog", "pubmedqa")
"""Readers of one file, whose folders hold parts that must not be mixed."""

_ASIDE = re.compile(r"(readme|licen[cs]e|source|citation|changelog|sha256sums)\b.*", re.IGNORECASE)
_SIDES = {
    "notes": ("text", "texts", "notes", "note", "articles", "article", "documents", "source", "reports", "dialogues"),
    "answers": ("summary", "summaries", "abstract", "abstracts", "target", "targets", "answers", "highlights"),
}


@dataclass(frozen=True, slots=True)
class Guess:
    """A reader's name, its options, what the guess rests on, in words, and the file or folder to read.

    ``path`` is the path that was asked about, or the one file of a folder for a reader of single files.
    """

    reader: str
    options: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    path: Path = Path()


def guess(path: Path) -> Guess:
    """The reader of a file, or of a folder by its folders' names and its first file.

    Raises :class:`InputError` when nothing known fits, or a folder holds several kinds of files.
    """
    path = Path(path)
    if path.is_file():
        found = _of_file(path)
    elif path.is_dir():
        found = _of_folder(path)
    else:
        raise InputError("the file or folder is not there", where=str(path), fix="check the path")
    if found is None:
        raise InputError(
            "the format cannot be guessed",
            where=str(path),
            fix="name it with --reader (`clinprompt show readers` lists them) and its fields with --option",
        )
    return replace(found, path=target(path, found.reader))


def target(path: Path, reader: str) -> Path:
    """What a reader reads of a path: the path, or of a folder its one file for a reader of single files.

    Raises :class:`InputError` when such a folder holds several.
    """
    if not path.is_dir() or reader not in _ONE_FILE:
        return path
    file, *more = content(path)
    if more:
        raise InputError(
            f"the folder holds {len(more) + 1} files of the format {reader!r}, which is read from one",
            where=str(path),
            fix="name the file",
        )
    return file


def content(folder: Path) -> Iterator[Path]:
    """The files of a folder and below, without those that tell about the data or are hidden."""
    for file in walked(folder):
        bare = file.suffix == ".txt" and file.with_suffix("").is_file()  # the bare text of another file
        if not (bare or file.name.startswith(".") or _ASIDE.fullmatch(file.name)):
            yield file


def kind_of(file: Path) -> str:
    """The ending of a file by which formats are told apart."""
    kind = file.suffix.lower()
    return ".xml" if kind == ".xmi" else kind


def _of_folder(folder: Path) -> Guess | None:
    names = {file.name for file in folder.iterdir()}
    if "dataset_dict.json" in names or {"dataset_info.json", "state.json"} <= names:
        return _saved(folder)
    if "prompts_merged.csv" in names:
        return Guess("evidence_inference", why="the folder holds prompts_merged.csv")
    files = list(content(folder))
    kinds = Counter(kind_of(file) for file in files)
    for kind, reader in SUFFIX_SHAPES.items():
        if kinds[kind]:
            return Guess(reader, why=f"the folder holds {kinds[kind]} files that end in {kind}")
    known = [kind for kind in kinds if kind in KINDS]
    if len(known) > 1:
        raise InputError(
            f"the folder holds several kinds of files ({', '.join(sorted(known))})",
            where=str(folder),
            fix="name one file, or the format with --reader",
        )
    if not known:
        return None
    pairs = _parallel(folder) if known == [".txt"] else None
    return pairs or _of_file(next(file for file in files if kind_of(file) == known[0]))


def _of_file(file: Path) -> Guess | None:
    kind = kind_of(file)
    if kind == ".ann":
        return Guess("brat", why="the file ends in .ann")
    if kind == ".xml":
        return _of_xml(file)
    if kind in _JSON:
        return _of_json(file)
    if kind in PARQUET:
        return _of_rows("csv_table", [row for _, row in islice(records_of(file), ROWS)], {})
    if kind == ".xlsx":
        return _of_workbook(file)
    found = _of_lines(file) if kind in _LINES else None
    return found or (_of_table(file) if kind in _TABLES else None)


def _of_xml(file: Path) -> Guess | None:
    if "<ClinicalNarrativeTemporalAnnotation" in read_text(file)[:1000]:  # these files are not always well-formed
        return Guess("i2b2_2012", why="a narrative with temporal annotation")
    root = read_xml(file)
    for reader, fits, why in XML_SHAPES:
        if fits(root):
            return Guess(reader, why=why)
    return None


def _of_json(file: Path) -> Guess | None:
    lines = [line for _, line in islice(numbered_lines(file), ROWS) if line.strip()]
    records = []
    for line in lines:
        try:
            records.append(parse_json(line, where=str(file)))
        except InputError:
            if file.suffix.lower() == ".json":  # a value over several lines; else a damaged one of them
                records = []
                break
    if not records or (len(lines) == 1 and file.suffix.lower() == ".json"):
        content = parse_json(read_text(file), where=str(file))
        for reader, fits, why in JSON_SHAPES:
            if fits(content):
                return Guess(reader, why=why)
        records = [content] if isinstance(content, dict) and records else []
    if not records or not all(isinstance(record, dict) for record in records):
        return None
    for reader, fits, why in RECORD_SHAPES:
        if all(fits(record) for record in records):
            return Guess(reader, why=why)
    return _of_rows("jsonl", records, {})


def _of_rows(reader: str, rows: list[dict[str, Any]], options: dict[str, Any]) -> Guess | None:
    named = roles(rows) if rows else None
    if named is None:
        return None
    said = ", ".join(f"{role} {name if isinstance(name, str) else '/'.join(name)}" for role, name in named.items())
    return Guess(reader, {**named, **options}, why=f"the names of the fields: {said}")


def _of_table(file: Path) -> Guess | None:
    rows, options = _quoted(file)
    names = set(rows[0]) if rows else set()
    if {"dialogue", "section_text"} <= names:
        return Guess("mts_dialog", why="the columns dialogue and section_text")
    if {"dialogue", "note", "encounter_id"} <= names:
        return Guess("aci_bench", why="the columns dialogue, note and encounter_id")
    return _of_rows("csv_table", rows, options) or _headless(file)


def _quoted(file: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The first rows, and the option that quotation marks are ordinary where they do not stand around whole cells."""
    (quoted, many, _), (raw, more, ordinary) = (_reading(file, quotes=quotes) for quotes in (True, False))
    return (raw, {"quotes": False}) if ordinary and more >= many else (quoted, {})


def _reading(file: Path, *, quotes: bool) -> tuple[list[dict[str, Any]], int, bool]:
    """The first rows, how many there are, and whether a cell has a quotation mark elsewhere than around it.

    Nothing of it where a row cannot be read.
    """
    rows: list[dict[str, Any]] = []
    count, inside = 0, False
    try:
        for _, row in rows_of(file, quotes=quotes):
            count += 1
            rows += [row] * (count <= ROWS)
            inside = inside or any('"' in cell and not cell[0] == cell[-1] == '"' for cell in row.values())
    except InputError:
        return [], 0, False
    return rows, count, inside


def _headless(file: Path) -> Guess | None:
    """Questions with lettered keys in the last column and no header, as in MMLU."""
    width, letters = 0, set[str]()
    try:
        for _, row in rows_of(file, header=False):
            width = len(row)
            letters.add(list(row.values())[-1])
    except InputError:
        return None
    if width < 4 or not letters <= {chr(ord("A") + place) for place in range(width - 2)}:
        return None
    numbers = [str(place) for place in range(1, width + 1)]
    options = {"header": False, "note": "1", "options": numbers[1:-1], "label": numbers[-1]}
    return Guess("csv_table", options, why="no header, and the last column holds the letter of an option")


def _of_workbook(file: Path) -> Guess | None:
    import openpyxl

    with file.open("rb") as stream:
        book = openpyxl.load_workbook(stream, read_only=True)
        sheet = book[book.sheetnames[0]]
        header = next(iter(sheet.iter_rows(max_row=1, values_only=True)), ())
        book.close()
    if header[:3] == ("File", "CHQ", "Summary"):
        return Guess("meqsum", why="the columns File, CHQ and Summary")
    return None


def _of_lines(file: Path) -> Guess | None:
    lines = [line for _, line in islice(numbered_lines(file), ROWS * 5)]
    found = of_lines(lines)
    if found is not None:
        return Guess(*found)
    return Guess("plain", why="the file is plain text") if file.suffix.lower() == ".txt" else None


def _parallel(folder: Path) -> Guess | None:
    """Two folders of texts whose names pair, one with a name for notes and one with a name for answers."""
    found = {side: next((name for name in names if (folder / name).is_dir()), None) for side, names in _SIDES.items()}
    notes, answers = found["notes"], found["answers"]
    if notes is None or answers is None:
        return None
    stems = [sorted(file.stem for file in (folder / name).glob("*.txt")) for name in (notes, answers)]
    options = {"notes": notes, "answers": answers}
    if stems[0] != stems[1]:
        options["key"] = r"([0-9]+)$"
        numbers = [sorted(re.findall(options["key"], stem) for stem in side) for side in stems]
        if numbers[0] != numbers[1]:
            return None
    return Guess("text_pairs", options, why=f"the folders {notes} and {answers} hold texts that pair by name")


def _saved(folder: Path) -> Guess | None:
    """A folder that the library `datasets` saved; its column names stand in dataset_info.json."""
    infos = sorted(folder.rglob("dataset_info.json"), key=lambda file: (file.parent.name != "train", file))
    if not infos:
        return None
    content = parse_json(read_text(infos[0]), where=str(infos[0]))
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, dict) or not features:
        return None
    # Columns of lists stand as lists: their form is all that is known without opening the data.
    row = {name: [""] if isinstance(kind, list) or "feature" in kind else "" for name, kind in features.items()}
    found = _of_rows("hub", [row], {})
    if found is None or infos[0].parent == folder:
        return found
    return Guess(found.reader, {**found.options, "part": infos[0].parent.name}, found.why)
