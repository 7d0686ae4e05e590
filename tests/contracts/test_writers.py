"""What every writer keeps to: read(write(x)) == x, nothing half written, nothing overwritten unasked."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.readers import READERS
from clinprompt.data.writers import WRITERS
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span
from tests.data.drawn import documents

PLACES = {"brat": "out", "jsonl": "out.jsonl"}
GOOD = Document(id="n", text="Aspirin", spans=(Span(label="Drug", fragments=((0, 7),), id="T1"),))


def test_every_writer_has_a_place():
    assert set(PLACES) == set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
@given(first=documents(identity="a/n1"), second=documents(identity="a/n2"))
def test_what_was_written_is_read_back(name, first, second):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PLACES[name]
        assert WRITERS[name]([first, second], path) == {}
        assert READERS[name](path) == [first, second]


@pytest.mark.parametrize("name", WRITERS)
def test_existing_work_is_replaced_only_when_asked(name, tmp_path):
    path = tmp_path / PLACES[name]
    other = Document(id="m", text="Other")
    WRITERS[name]([other], path)
    with pytest.raises(InputError, match="overwrite"):
        WRITERS[name]([GOOD], path)
    assert READERS[name](path) == [other]
    WRITERS[name]([GOOD], path, overwrite=True)
    assert READERS[name](path) == [GOOD]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", WRITERS)
@given(done=st.integers(0, 3))
def test_a_failure_leaves_nothing(name, done):
    def stream():
        for place in range(done):
            yield Document(id=f"n{place}", text="Well.")
        raise OSError("the disk is full")

    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(OSError, match="full"):
            WRITERS[name](stream(), Path(folder) / PLACES[name])
        assert list(Path(folder).iterdir()) == []
