"""Folders of cells that are taken over, and whether two of them are the same."""

from __future__ import annotations

import pytest

from clinprompt.stages.earlier import same_files, take


@pytest.fixture
def cell(tmp_path):
    folder = tmp_path / "run" / "task" / "full"
    (folder / "lora").mkdir(parents=True)
    (folder / "prompt.safetensors").write_bytes(b"12")
    (folder / "lora" / "adapter.json").write_text("{}")
    return folder


def test_a_taken_folder_is_the_whole_folder_in_the_place_of_what_was_there(cell, tmp_path):
    target = tmp_path / "other" / "task" / "full"
    assert take(cell, target) and same_files(cell, target)
    (target / "left over").write_text("")
    assert not same_files(cell, target)
    assert take(cell, target) and same_files(cell, target)
    assert (target / "prompt.safetensors").samefile(cell / "prompt.safetensors")
    assert [path.name for path in target.parent.iterdir()] == ["full"]


def test_without_links_there_is_a_copy(cell, tmp_path, monkeypatch):
    def refused(source, target):
        raise PermissionError

    monkeypatch.setattr("os.link", refused)
    assert take(cell, tmp_path / "full") and same_files(cell, tmp_path / "full")
    assert not (tmp_path / "full" / "prompt.safetensors").samefile(cell / "prompt.safetensors")


def test_what_is_gone_leaves_nothing(cell, tmp_path, monkeypatch):
    def vanishing(source, target):
        raise FileNotFoundError(source)

    assert not take(tmp_path / "none", tmp_path / "new" / "full")
    monkeypatch.setattr("os.link", vanishing)
    assert not take(cell, tmp_path / "new" / "full")
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("change", ["byte", "name", "missing", "empty"])
def test_folders_that_differ_are_not_the_same(change, cell, tmp_path, monkeypatch):
    monkeypatch.setattr("os.link", lambda source, target: (_ for _ in ()).throw(PermissionError))
    other = tmp_path / "other"
    assert take(cell, other)
    file = other / "prompt.safetensors"
    match change:
        case "byte":
            file.write_bytes(b"13")
        case "name":
            file.rename(other / "another")
        case "missing":
            file.unlink()
        case "empty":
            for folder in (cell, other):
                for path in [path for path in folder.rglob("*") if path.is_file()]:
                    path.unlink()
    assert not same_files(cell, other)


def test_a_file_is_taken_as_a_folder_is(cell, tmp_path, monkeypatch):
    file, target = cell / "prompt.safetensors", tmp_path / "other" / "prompt.safetensors"
    assert take(file, target) and target.samefile(file)
    target.unlink()
    target.write_bytes(b"another run's")
    (target.parent / ".prompt.safetensors.part").hardlink_to(file)  # of a kill in the middle
    assert take(file, target) and target.samefile(file) and file.read_bytes() == b"12"
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not take(cell / "none", tmp_path / "none") and not (tmp_path / "none").exists()
    monkeypatch.setattr("os.link", lambda source, target: (_ for _ in ()).throw(PermissionError))
    assert take(file, target) and not target.samefile(file) and target.read_bytes() == b"12"
