from __future__ import annotations

import pytest

from clinprompt.data.fewshot import draw
from clinprompt.errors import InputError
from clinprompt.schema.example import Split, TaskKind
from clinprompt.stages.describing import check_data, profiles, sample
from clinprompt.stages.importing import import_data
from clinprompt.stages.prepared import open_prepared
from tests.made_notes import write_notes


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "out"
    import_data(write_notes(tmp_path / "notes"), out, name="meds", reader="brat", kind=TaskKind.relations)
    return out


def test_profiles_of_all_parts(folder):
    prepared = open_prepared(folder)
    found = profiles(prepared)
    assert found.keys() == prepared.manifest.parts.keys()
    assert sum(part.labels["Drug"] for part in found.values()) == 24
    longest = max(len(example.note) for example in prepared.part(Split.train))
    assert found["train"].notes[-1] == longest


def test_lengths_in_tokens_of_a_backbone(folder):
    tokens = profiles(open_prepared(folder), backbone="embedded")["train"].notes
    characters = profiles(open_prepared(folder))["train"].notes
    assert all(0 < fewer < more for fewer, more in zip(tokens, characters, strict=True))
    with pytest.raises(InputError, match="backbone"):
        profiles(open_prepared(folder), backbone="nowhere")


def test_sound_data_have_no_finding_and_changed_files_are_refused(folder):
    assert check_data(folder) == []
    (folder / "dev.parquet").write_bytes((folder / "test.parquet").read_bytes())
    with pytest.raises(InputError, match="not the one the manifest names"):
        check_data(folder)


def test_a_sample_is_the_draw_that_is_trained_on(folder):
    prepared = open_prepared(folder)
    for number in (0, 1):
        expected = draw(prepared.part(Split.train), k=3, seed=prepared.draw_seed, draw=number)
        assert sample(folder, shots=3, number=number) == expected
    with pytest.raises(InputError, match="99 shots"):
        sample(folder, shots=99, number=0)
