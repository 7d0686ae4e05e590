from __future__ import annotations

import pytest

from clinprompt.data.profile import profile
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example
from clinprompt.study.data_picture import MOST_LABELS, draw_profiles


def part(count: int, labels: int) -> list[Example]:
    return [
        Example(id=str(n), inputs={"note": "x" * n}, answer=Answer(label=f"label {n % labels}"), group=str(n))
        for n in range(count)
    ]


def test_a_picture_names_task_parts_and_labels(tmp_path):
    file = tmp_path / "new" / "p.svg"
    left_out = draw_profiles({"train": profile(part(9, 2)), "test": profile([])}, file, title="my task", unit="tokens")
    assert left_out == 0 and b"<svg" in file.read_bytes()


def test_the_rarest_labels_have_no_room(tmp_path):
    found = profile(part(100, MOST_LABELS + 3))
    assert draw_profiles({"train": found}, tmp_path / "p.png", title="t", unit="characters") == 3
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_another_kind_of_file(tmp_path):
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        draw_profiles({}, tmp_path / "p.doc", title="t", unit="characters")
