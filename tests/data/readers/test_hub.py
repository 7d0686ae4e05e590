"""Data sets of the library `datasets`; most tests are skipped where the extra is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clinprompt.data.readers import hub
from clinprompt.errors import InputError

SAMPLE = Path(__file__).parents[2] / "samples" / "hub" / "good"


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"clinprompt\[hub\]"):
        hub.read(SAMPLE, note="text")


@pytest.mark.parametrize("given", [{"path": None}, {"path": SAMPLE, "name": "someone/something"}])
def test_a_path_or_a_name_but_not_both(given):
    with pytest.raises(InputError, match="either a path or the option name"):
        hub.read(**given, note="text")


def test_columns_by_name_with_the_names_of_classes():
    pytest.importorskip("datasets")
    first, second = hub.read(SAMPLE / "train", note="text", label="verdict", label_map={"ill": "sick"})
    assert (first.id, first.answer.label, second.answer.label) == ("1", "well", "sick")


def test_a_name_that_is_not_in_the_cache(monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for given in ({"path": None, "name": "no-one/nothing-of-this-name"}, {"path": Path("no-one/nothing-of-this-name")}):
        with pytest.raises(InputError, match=r"cannot be opened.*no-one/nothing-of-this-name"):
            hub.read(**given, note="text")


def test_without_leave_nothing_is_fetched(monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE"):
        hub.read(None, name="no-one/nothing-of-this-name", note="text")


def test_a_name_in_the_cache(tmp_path, monkeypatch):
    """The library's own answer to a cached name stands in for a cache, which only a download can fill."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    asked = []

    def cached(name, config, *, revision):
        asked.append((name, config, revision))
        return datasets.load_from_disk(str(SAMPLE))

    monkeypatch.setattr(datasets, "load_dataset", cached)
    found = hub.read(Path("someone/notes"), config="en", part="train", note="text")
    assert asked == [("someone/notes", "en", None)]
    assert [(document.id, document.text) for document in found] == [("1", "No fever 😀."), ("2", "Fever.")]
