from __future__ import annotations

import errno
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from clinprompt.errors import InputError
from clinprompt.prompts.exports.shards import link, shards_of, write_index, write_without

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.arange(5, dtype=torch.int64),
    "c": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).bfloat16(),
}


@pytest.mark.parametrize("dropped", [{"a"}, {"b"}, {"a", "c"}, set()])
def test_what_is_left_is_bit_for_bit_the_same(dropped, tmp_path):
    save_file(TENSORS, tmp_path / "in.safetensors")
    assert write_without(tmp_path / "in.safetensors", tmp_path / "out.safetensors", dropped) == 3 - len(dropped)
    found = load_file(tmp_path / "out.safetensors")
    assert set(found) == set(TENSORS) - dropped
    assert all(found[name].dtype == TENSORS[name].dtype and torch.equal(found[name], TENSORS[name]) for name in found)


def test_a_file_with_nothing_left_is_not_written(tmp_path):
    save_file(TENSORS, tmp_path / "in.safetensors")
    assert write_without(tmp_path / "in.safetensors", tmp_path / "out.safetensors", set(TENSORS)) == 0
    assert not (tmp_path / "out.safetensors").exists()


def test_a_truncated_file_is_an_error(tmp_path):
    save_file(TENSORS, tmp_path / "in.safetensors")
    content = (tmp_path / "in.safetensors").read_bytes()
    (tmp_path / "in.safetensors").write_bytes(content[:-4])
    with pytest.raises(EOFError):
        write_without(tmp_path / "in.safetensors", tmp_path / "out.safetensors", set())


def test_the_index_is_read_back(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert shards_of(tmp_path) == dict.fromkeys(TENSORS, "model.safetensors")
    write_index(tmp_path, {"a": "model.safetensors", "b": "model.safetensors"})
    assert shards_of(tmp_path) == {"a": "model.safetensors", "b": "model.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match="neither a file"):
        shards_of(tmp_path)


def test_links_are_hard_else_symbolic_else_copies(tmp_path, monkeypatch):
    (tmp_path / "blob").write_text("weights")
    (tmp_path / "cached").symlink_to(tmp_path / "blob")
    link(tmp_path / "cached", tmp_path / "hard")
    assert not (tmp_path / "hard").is_symlink() and (tmp_path / "hard").samefile(tmp_path / "blob")

    def elsewhere(*_):
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", elsewhere)
    link(tmp_path / "cached", tmp_path / "symbolic")
    assert (tmp_path / "symbolic").readlink() == tmp_path / "blob"
    monkeypatch.setattr(os, "symlink", elsewhere)
    link(tmp_path / "cached", tmp_path / "copied")
    assert (tmp_path / "copied").read_text() == "weights"
    assert not (tmp_path / "copied").samefile(tmp_path / "blob")
