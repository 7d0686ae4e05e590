"""Import and export of very many notes: read record by record, against all records in a list.

    python -m benchmarks.streaming [--notes 1000000] [--rounds 1] [--only "import jsonl"] [--models build] [--json]

Notes of 2 kB with three mentions each are imported from JSON Lines and, with a class each, from CSV; exported from JSON
Lines to the long table (Parquet), to the wide one (CSV) and to a page of HTML, and from a folder of plain texts to JSON
Lines. Each is done with a tenth of the notes in both ways, which must write the same bytes, and with all of them
streamed. Told are notes per second, the peak of memory beyond what was resident before, and by how many bytes a note
the peak grows between the two numbers.
Hardware: CPU of 2 cores, with a million notes some hours and 30 GB of disk (the folder holds a million files);
`--notes 100000 --rounds 1` a tenth of it. There is no arithmetic: the dtype in a name means nothing here.
"""

from __future__ import annotations

import csv
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, aim, run
from benchmarks.timing import Step
from clinprompt.data.atomic import whole_file, whole_folder
from clinprompt.data.files import file_hash
from clinprompt.stages import importing
from clinprompt.stages.exporting import export
from clinprompt.stages.importing import import_data

STREAMED, HELD = "streamed float32", "held float32"
NOTES, QUICK, LENGTH = 1_000_000, 300, 2000
GROWTH = 250
"""Bytes a note: what an import keeps of it, its names and digests, where the note itself has 2,000."""
TEXT = (
    "the patient was admitted with a fever and cough of three days; on examination chest clear, abdomen soft. "
    "plan: repeat bloods tomorrow, review by the team, continue oral fluids and home medicines as before"
)
DRUGS = ("aspirin", "metformin", "ramipril", "amoxicillin", "heparin")


def cases(options: Options) -> Iterator[Case]:
    """Each way with a tenth of the notes and with all of them."""
    notes = options.notes or (QUICK if options.quick else NOTES)
    for name, (form, work) in WAYS.items():
        for count in (notes // 10, notes):
            yield _case(options, name, form, work, count, compared=count < notes)


def _case(
    options: Options, name: str, form: str, work: Callable[[Path, Path], str], count: int, *, compared: bool
) -> Case:  # fmt: skip
    source = options.models / f"{count} notes{'' if form == 'plain' else '.' + form}"

    def build(way: str) -> Callable[[], Step]:
        def streamed() -> dict[str, torch.Tensor]:
            with tempfile.TemporaryDirectory() as folder:
                return {"written": torch.tensor(list(bytes.fromhex(work(source, Path(folder)))))}

        def held() -> dict[str, torch.Tensor]:
            with patch.object(importing, "STREAMS", {}):  # readers give lists where there is no stream
                return streamed()

        def built() -> Step:
            if not source.exists():
                FORMS[form](source, count)
            return held if way == HELD else streamed

        return built

    variants = {STREAMED: Variant(build(STREAMED), "float32", like=HELD if compared else None)}
    if compared:
        variants[HELD] = Variant(build(HELD), "float32")
    return Case(
        f"{name}, {count} notes",
        variants,
        unit="note",
        units=count,
        baselines={"held": (HELD,)} if compared else {},
        settings={"notes": count, "characters": LENGTH},
    )


def _notes(count: int) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Name, text and mentions of each note; the same for the same number."""
    chance, words = random.Random(0), TEXT.split(" ")
    for number in range(count):
        text, spans = f"note {number}.", []
        while len(text) < LENGTH:
            if len(text) > LENGTH * (len(spans) + 1) / 4:
                drug = chance.choice(DRUGS)
                spans.append({"label": "drug", "start": len(text) + 1, "end": len(text) + 1 + len(drug)})
                text += f" {drug}"
            text += " " + " ".join(chance.choices(words, k=12))
        yield f"n{number}", text, spans


def _write_jsonl(path: Path, count: int) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8") as stream:
        for name, text, spans in _notes(count):
            stream.write(json.dumps({"id": name, "text": text, "spans": spans}) + "\n")


def _write_csv(path: Path, count: int) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("id", "note", "flag"))
        table.writerows((name, text, "yes" if len(text) % 2 else "no") for name, text, _ in _notes(count))


def _write_plain(path: Path, count: int) -> None:
    notes = _notes(count)
    with whole_folder(path) as folder:
        for place in range(0, count, 1000):
            (folder / f"{place}").mkdir()
            for name, text, _ in islice(notes, 1000):
                (folder / f"{place}" / f"{name}.txt").write_text(text, encoding="utf-8")


def _import_jsonl(source: Path, out: Path) -> str:
    import_data(source, out / "task", name="drugs", reader="jsonl")
    return file_hash(out / "task" / "manifest.json")


def _import_csv(source: Path, out: Path) -> str:
    fields = {"note": "note", "id": "id", "label": "flag"}
    import_data(source, out / "task", name="flags", reader="csv_table", options=fields)
    return file_hash(out / "task" / "manifest.json")


def _export_jsonl(source: Path, out: Path) -> str:
    export(source, out / "table.parquet", reader="jsonl", writer="table")
    return file_hash(out / "table.parquet")


def _export_wide(source: Path, out: Path) -> str:
    export(source, out / "wide.csv", reader="jsonl", writer="table", writer_options={"layout": "wide"})
    return file_hash(out / "wide.csv")


def _export_html(source: Path, out: Path) -> str:
    export(source, out / "notes.html", reader="jsonl", writer="html")
    return file_hash(out / "notes.html")


def _export_plain(source: Path, out: Path) -> str:
    export(source, out / "notes.jsonl", reader="plain", writer="jsonl")
    return file_hash(out / "notes.jsonl")


FORMS = {"jsonl": _write_jsonl, "csv": _write_csv, "plain": _write_plain}
WAYS = {
    "import jsonl": ("jsonl", _import_jsonl),
    "import csv": ("csv", _import_csv),
    "export jsonl": ("jsonl", _export_jsonl),
    "export wide": ("jsonl", _export_wide),
    "export html": ("jsonl", _export_html),
    "export plain": ("plain", _export_plain),
}


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Notes per second, and how far the peak grows with every note."""
    told: dict[str, Any] = {"notes per second": {}, "peak MB": {}}
    for line in lines:
        key = f"{line['case']}, {line['variant'].removesuffix(' float32')}"
        told["notes per second"][key] = round(1 / line["seconds per unit"])
        if "memory" in line:
            told["peak MB"][key] = round(line["memory"]["step"] / 1e6, 1)
    if options.memory:
        told["aims"] = [_growth(lines, name) for name in WAYS]
    return told


def _growth(lines: list[Line], name: str) -> dict[str, Any]:
    peaks = {
        line["settings"]["notes"]: line["memory"]["step"]
        for line in lines
        if line["case"].startswith(f"{name},") and line["variant"] == STREAMED
    }
    reached = None
    if peaks:
        few, many = min(peaks), max(peaks)
        reached = (peaks[many] - peaks[few]) / (many - few)
    return aim(f"{name}: the peak grows by at most {GROWTH} bytes a note", most=GROWTH, reached=reached)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("streaming", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
