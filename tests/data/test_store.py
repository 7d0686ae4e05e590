from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data import store
from clinprompt.data.store import read_examples, write_examples
from clinprompt.errors import InputError
from tests.data.drawn import examples


@given(written=st.lists(examples(), max_size=4))
def test_examples_come_back_exactly(written):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.parquet"
        write_examples(file, written)
        assert list(read_examples(file)) == written
        assert [path.name for path in Path(folder).iterdir()] == ["train.parquet"]


@given(written=st.lists(examples(), min_size=1, max_size=3))
def test_the_order_of_slots_is_kept(written):
    with tempfile.TemporaryDirectory() as folder:
        write_examples(Path(folder) / "x.parquet", written)
        back = list(read_examples(Path(folder) / "x.parquet"))
    assert [list(example.inputs) for example in back] == [list(example.inputs) for example in written]


def test_the_same_examples_give_the_same_bytes(tmp_path):
    from clinprompt.data.readers.scinli import read

    found = read(Path(__file__).parents[1] / "samples" / "scinli" / "good.jsonl")
    for name in ("a", "b"):
        write_examples(tmp_path / name, found)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.ParquetFile(tmp_path / "a").metadata.row_group(0).column(0).compression == "ZSTD"


@given(written=st.lists(examples(), min_size=3, max_size=9), batch=st.integers(1, 4), group=st.sampled_from([1, 2000]))
def test_examples_of_many_row_groups_come_back_exactly(written, batch, group):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "BATCH", batch)
        patch.setattr(store, "GROUP", group)
        file = Path(folder) / "x.parquet"
        write_examples(file, written)
        assert list(read_examples(file)) == written
        assert group > 1 or pq.ParquetFile(file).num_row_groups == -(-len(written) // batch)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no parquet")
    pq.write_table(pa.table({"id": ["1"]}), tmp_path / "other")
    for name, what in (("text", "damaged"), ("other", "no examples"), ("nowhere", "not there")):
        with pytest.raises(InputError, match=what):
            list(read_examples(tmp_path / name))
