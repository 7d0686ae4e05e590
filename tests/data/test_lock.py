from __future__ import annotations

import pytest

from clinprompt.data.lock import Lock
from clinprompt.errors import InputError


def test_one_holder_at_a_time_and_the_file_of_a_dead_process_is_taken_over(tmp_path):
    path = tmp_path / "runs" / ".x.lock"
    path.parent.mkdir()
    path.write_text("999999999")  # no process has this number
    first, second = Lock(path), Lock(path)
    first.take()
    assert first.held and not second.held
    with pytest.raises(InputError, match="is working on this run"):
        second.take()
    first.release()
    first.release()
    assert not path.exists()
    second.take()
    assert second.held
    second.release()
