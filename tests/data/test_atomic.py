from __future__ import annotations

import os
import stat

import pytest

from clinprompt.data.atomic import for_all, whole_file, whole_folder
from clinprompt.errors import InputError


def test_a_file_is_old_or_new(tmp_path):
    file = tmp_path / "deep" / "a.txt"
    with whole_file(file) as part:
        part.write_text("one")
        assert not file.exists()
    with pytest.raises(RuntimeError), whole_file(file) as part:
        part.write_text("tw")
        raise RuntimeError
    assert file.read_text() == "one"
    assert [path.name for path in file.parent.iterdir()] == ["a.txt"]


def test_permissions_follow_the_process(tmp_path):
    old = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a") as part:
            part.write_text("x")
        with whole_folder(tmp_path / "b") as folder:
            (folder / "c").write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750


def test_a_folder_is_old_or_new(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with whole_folder(folder) as part:
        (part / "a").write_text("one")
    with pytest.raises(InputError, match="not empty"), whole_folder(folder):
        pass
    with pytest.raises(RuntimeError), whole_folder(folder, overwrite=True) as part:
        (part / "b").write_text("two")
        raise RuntimeError
    assert [file.name for file in folder.iterdir()] == ["a"]
    with whole_folder(folder, overwrite=True) as part:
        (part / "b").write_text("two")
    assert [file.name for file in folder.iterdir()] == ["b"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match="file stands"), whole_folder(tmp_path / "out", overwrite=True):
        pass


def test_a_file_that_a_library_made_for_its_owner_gets_the_mode_of_any_new_one(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o027, 0o640), (0, 0o666)):
        (tmp_path / "file").touch()
        (tmp_path / "file").chmod(0o600)
        before = os.umask(mask)
        try:
            for_all(tmp_path / "file")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
