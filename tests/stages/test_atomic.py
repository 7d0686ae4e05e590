from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clinprompt.stages.atomic import plain, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"n": np.int64(3), "xs": np.ones(2), "where": Path("a/b"), "big": float("inf")})
    assert json.loads(file.read_text()) == {"n": 3, "xs": [1.0, 1.0], "where": "a/b", "big": "inf"}
    before = file.read_text()
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "\ud800")
    assert file.read_text() == before and list(tmp_path.iterdir()) == [file]


def test_what_json_has_no_word_for_is_refused():
    with pytest.raises(TypeError, match="a set cannot"):
        plain({"labels": {"a"}})
