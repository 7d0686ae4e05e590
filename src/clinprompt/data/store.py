"""Examples in Parquet files, exactly as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clinprompt.data.atomic import whole_file
from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example, Split

_TEXTS = pa.map_(pa.string(), pa.string())
_SPAN = pa.struct(
    [
        ("label", pa.string()),
        ("starts", pa.list_(pa.int64())),
        ("ends", pa.list_(pa.int64())),
        ("id", pa.string()),
        ("attributes", _TEXTS),
    ]
)
_RELATION = pa.struct([(name, pa.string()) for name in ("label", "head", "tail", "id")])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("inputs", _TEXTS),
        ("spans", pa.list_(_SPAN)),
        ("relations", pa.list_(_RELATION)),
        ("label", pa.string()),
        ("text", pa.string()),
        ("group", pa.string()),
        ("document", pa.string()),
        ("offset", pa.int64()),
        ("choices", pa.list_(pa.struct([("key", pa.string()), ("text", pa.string())]))),
        ("split", pa.string()),
        ("metadata", _TEXTS),
    ]
)


BATCH = 256
"""Examples that are turned into columns, or back, at a time."""
GROUP = 2**24
"""Bytes of columns after which a row group is written; smaller files have one."""


class ExampleWriter:
    """An open Parquet file that takes examples one by one; :func:`writing` makes it."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self.file = file
        self.rows: list[dict[str, Any]] = []
        self.batches: list[pa.RecordBatch] = []
        self.size = 0

    def add(self, example: Example) -> None:
        """Take in one example."""
        self.rows.append(_row(example))
        if len(self.rows) == BATCH:
            self._to_columns()
            if self.size >= GROUP:
                self.flush()

    def flush(self) -> None:
        """Write what was taken in as a row group."""
        self._to_columns()
        if self.batches:
            self.file.write_table(pa.Table.from_batches(self.batches, SCHEMA).combine_chunks())
        self.batches, self.size = [], 0

    def _to_columns(self) -> None:
        if self.rows:
            batch = pa.RecordBatch.from_pylist(self.rows, schema=SCHEMA)
            self.batches.append(batch)
            self.size += batch.nbytes
            self.rows = []


@contextmanager
def writing(path: Path) -> Iterator[ExampleWriter]:
    """A Parquet file (zstd) to add examples to, which appears whole when the block ends well or not at all."""
    with whole_file(path) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as file:
        writer = ExampleWriter(file)
        yield writer
        writer.flush()


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write a Parquet file (zstd) that appears whole or not at all, in place of what is there."""
    with writing(path) as writer:
        for example in examples:
            writer.add(example)


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a file that :func:`write_examples` wrote, some at a time; :class:`InputError` for any other."""
    path = Path(path)
    if not path.is_file():
        raise InputError("the file is not there", where=str(path))
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise InputError("the Parquet file holds no examples", where=str(path), fix="prepare the data again")
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    yield _example(row)
    except pa.ArrowInvalid:
        raise InputError("this is not a Parquet file, or it is damaged", where=str(path)) from None


def _row(example: Example) -> dict[str, Any]:
    answer = example.answer
    return {
        "id": example.id,
        "inputs": list(example.inputs.items()),
        "spans": [
            {
                "label": span.label,
                "starts": [start for start, _ in span.fragments],
                "ends": [end for _, end in span.fragments],
                "id": span.id,
                "attributes": list(span.attributes.items()),
            }
            for span in answer.spans
        ],
        "relations": [
            {"label": link.label, "head": link.head, "tail": link.tail, "id": link.id} for link in answer.relations
        ],
        "label": answer.label,
        "text": answer.text,
        "group": example.group,
        "document": example.document,
        "offset": example.offset,
        "choices": [{"key": key, "text": text} for key, text in example.choices],
        "split": example.split and str(example.split),
        "metadata": list(example.metadata.items()),
    }


def _example(row: dict[str, Any]) -> Example:
    spans = tuple(
        Span(
            label=span["label"],
            fragments=tuple(zip(span["starts"], span["ends"], strict=True)),
            id=span["id"],
            attributes=span["attributes"],
        )
        for span in row["spans"]
    )
    relations = tuple(Relation(**link) for link in row["relations"])
    return Example(
        id=row["id"],
        inputs=row["inputs"],
        answer=Answer(spans=spans, relations=relations, label=row["label"], text=row["text"]),
        group=row["group"],
        document=row["document"],
        offset=row["offset"],
        choices=tuple((choice["key"], choice["text"]) for choice in row["choices"]),
        split=Split(row["split"]) if row["split"] else None,
        metadata=row["metadata"],
    )
