from __future__ import annotations

import os
import stat
import time

import pytest

from clinprompt.errors import InputError
from clinprompt.serving.audit_line import audit_secret
from clinprompt.serving.keys import add_key
from clinprompt.serving.private_file import file_state, read_private, write_private


def test_only_the_owner_may_read_it_whatever_the_mask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert read_private(tmp_path / "secret", what="key file") == b"x"
    assert os.listdir(tmp_path) == ["secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_what_others_may_touch_is_refused(tmp_path, mode):
    write_private(tmp_path / "secret", b"x")
    (tmp_path / "secret").chmod(mode)
    with pytest.raises(InputError, match="others than its owner") as caught:
        read_private(tmp_path / "secret", what="key file")
    assert "chmod 600 secret" in caught.value.fix


def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, what in ((tmp_path / "pipe", "not an ordinary"), (tmp_path, "not an ordinary|cannot be read"),
                       (tmp_path / "none", "there is no key file")):  # fmt: skip
        with pytest.raises(InputError, match=what):
            read_private(path, what="key file")


def test_a_state_is_sure_or_none(tmp_path):
    path = tmp_path / "secret"
    assert file_state(path) is None
    write_private(path, b"x")
    assert file_state(path) is None  # it may be written again within the clock's tick
    time.sleep(0.12)
    first = file_state(path)
    assert first is not None and first == file_state(path)
    write_private(path, b"y")
    time.sleep(0.12)
    assert file_state(path) != first


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "below"
    for make in (lambda: write_private(below / "secret", b"x"), lambda: add_key(below / "keys.json", "ward"),
                 lambda: audit_secret(below / "log.secret", make=True)):  # fmt: skip
        with pytest.raises(InputError, match="cannot be written: Not a directory"):
            make()
