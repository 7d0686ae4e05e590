"""What every stream keeps to: it gives what the reader gives, each time anew, one record after the other."""

from __future__ import annotations

import json
import tracemalloc
from functools import partial
from pathlib import Path

import pytest

from clinprompt.data import fields
from clinprompt.data.readers import READERS, STREAMS
from clinprompt.errors import InputErrors
from clinprompt.stages.exporting import export
from clinprompt.stages.importing import import_data

SAMPLES = Path(__file__).parents[1] / "samples"


def expected(name: str) -> dict:
    return json.loads((SAMPLES / name / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_what_the_reader_gives_each_time(name):
    plan = expected(name)
    stream = STREAMS[name](SAMPLES / name / plan["path"], **plan["options"])
    held = READERS[name](SAMPLES / name / plan["path"], **plan["options"])
    assert list(stream) == list(stream) == held
    assert next(iter(stream)) == held[0]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_the_options_of_its_reader(name):
    import inspect

    assert inspect.signature(STREAMS[name]).parameters == inspect.signature(READERS[name]).parameters


def lines(path: Path, count: int, *, faults: int = 0) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        for number in range(count):
            text = f"aspirin {number} " + "and more of it " * 130
            spans = [{"label": "drug", "start": 0, "end": 7}]
            stream.write(json.dumps({"id": f"n{number}", "text": text, "spans": spans}) + "\n")
        stream.write("[]\n" * faults)
    return path


def test_faults_at_the_end_leave_nothing_behind(tmp_path):
    source = lines(tmp_path / "n.jsonl", 40, faults=2)
    with pytest.raises(InputErrors) as caught:
        import_data(source, tmp_path / "task", name="t", reader="jsonl")
    assert len(caught.value.faults) == 2
    with pytest.raises(InputErrors):
        export(source, tmp_path / "o.csv", reader="jsonl", writer="table")
    assert [path.name for path in tmp_path.iterdir()] == ["n.jsonl"]


def test_what_is_written_into_the_source_folder_is_not_read(tmp_path):
    for number in range(3):
        (tmp_path / f"n{number}.txt").write_text("Well.")
    done = export(tmp_path, tmp_path / "brat", reader="plain", writer="brat")
    assert done.documents == 3
    assert sorted(file.name for file in (tmp_path / "brat").glob("*.txt")) == ["n0.txt", "n1.txt", "n2.txt"]


def peak(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("writer", "options"),
    [("jsonl", {}), ("table", {"layout": "wide"}), ("table", {"layout": "redcap"}), ("html", {})],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_memory_does_not_grow_with_the_notes(tmp_path, writer, options):
    peaks = []
    for count in (100, 100, 500):  # the first also loads what is loaded once
        source, out = lines(tmp_path / f"{count}.jsonl", count), tmp_path / f"{count}.csv"
        work = partial(export, source, out, reader="jsonl", writer=writer, writer_options=options, overwrite=True)
        peaks.append(peak(work))
        assert json.loads(Path(f"{out}.loss.json").read_text())["read"]["documents"] == count
    # 400 notes more are 800 kB of text alone; of each stays its name or its patient's.
    assert peaks[2] - peaks[1] < 160_000


def test_what_comes_again_is_found_in_a_stream_as_in_a_list(tmp_path):
    rows = [("7", "a"), ("8", "b"), ("7", "a"), ("7#2", "c"), ("9", "b"), ("7#2#2", ""), ("10", "")]
    source = tmp_path / "r.jsonl"
    source.write_text("".join(json.dumps({"i": name, "n": note}) + "\n" for name, note in rows))
    stream = STREAMS["jsonl"](source, note="n", id="i")
    found = [(note.id, note.group) for note in stream]
    assert found == [
        ("7", "7"), ("8", "8"), ("7#2", "7"), ("7#2#2", "7#2"), ("9", "8"), ("7#2#2#2", "7#2#2"), ("10", "10"),
    ]  # fmt: skip


def test_rows_are_looked_through_once_for_what_comes_again(tmp_path, monkeypatch):
    calls = []
    look = fields._repeats
    monkeypatch.setattr(fields, "_repeats", lambda examples: calls.append(1) or look(examples))
    source = tmp_path / "t.csv"
    source.write_text("id,note,flag\n" + "".join(f"{n},note {n},{'yes' if n % 2 else 'no'}\n" for n in range(30)))
    import_data(source, tmp_path / "t", name="t", reader="csv_table", options={"note": "note", "label": "flag"})
    assert calls == [1]
