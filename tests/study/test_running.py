"""Workers of one study beside each other: what one of them records, another one does not take away."""

from __future__ import annotations

from threading import Thread
from types import SimpleNamespace

import pytest
import torch

from clinprompt.stages.importing import import_data
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.run_folder import RunFolder
from clinprompt.study import running
from clinprompt.study.archive import Archive
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.gang import GangRuns
from clinprompt.study.study_file import Study
from clinprompt.training.parallel import world
from tests.made_notes import write_notes


@pytest.fixture
def part(monkeypatch, tmp_path):
    """A part whose data and metaprompt are there at once."""
    run = RunFolder(tmp_path / "runs" / "distill" / "made", state="done", lock=None, processes=world())
    for name, found in {
        "prepare_all": ({}, {}), "backbone_title": "tiny", "backbone_size": 1, "make_metaprompt": (None, run),
    }.items():  # fmt: skip
        monkeypatch.setattr(running, name, lambda *_, found=found, **__: found)
    monkeypatch.setattr(running.Worker, "opened", lambda self, settings: None)
    tasks = {"sources": ("medications",), "targets": ("lab-flag",)}
    [made] = parts_of(Study(name="s", tasks=tasks, sources={}, methods={"mpt": {"kind": "mpt"}}))
    return made


@pytest.mark.parametrize("variant", ["", "another"])
def test_a_metaprompt_that_is_recorded_while_another_worker_records_the_data_stays(part, tmp_path, variant):
    runs, began = tmp_path / "runs", []

    class Slow(Archive):
        """Between its look at the record and what follows, another worker does all it can."""

        def part(self, slug):
            found = super().part(slug)
            if not began:
                other = running.Worker(runs, Archive(self.folder))
                began.append(Thread(target=lambda: other.ingredients(part, sources=True, variant=variant)))
                began[0].start()
                began[0].join(1.0)
            return found

    running.Worker(runs, Slow(tmp_path / "out")).data(part)
    began[0].join(30.0)
    record = Archive(tmp_path / "out").part(part.slug)
    assert (record.variants if variant else {"": record.distill}) == {variant: "distill/made"}
    assert not list((tmp_path / "out").glob("*.lock"))


def test_the_data_of_a_part_leaves_a_record_that_is_there(part, tmp_path):
    runs, archive = tmp_path / "runs", Archive(tmp_path / "out")
    running.Worker(runs, archive).ingredients(part, sources=True)
    before = archive.part(part.slug)
    running.Worker(runs, archive).data(part)
    assert archive.part(part.slug) == before and before.distill


def test_teachers_of_other_sources_are_not_in_the_record(part, tmp_path, monkeypatch):
    runs, archive = tmp_path / "runs", Archive(tmp_path / "out")
    running.Worker(runs, archive).ingredients(part, sources=True)
    assert archive.part(part.slug).distill
    import_data(write_notes(tmp_path / "notes"), runs / "prepare" / "b", name="b", reader="brat")
    found = {"b": open_prepared(runs / "prepare" / "b")}
    monkeypatch.setattr(running, "prepare_all", lambda *_, **__: ({}, found))
    running.Worker(runs, archive).basis(part)
    record = archive.part(part.slug)
    assert record.sources == {"b": "prepare/b"} and not (record.distill or record.metaprompt or record.variants)


@pytest.mark.parametrize("reads, rate", [(False, 1e-3), (True, 1e-4)])
def test_the_record_has_the_rates_that_were_tried_on_the_backbone(tmp_path, reads, rate):
    study = Study(name="s", tasks={"targets": ("lab-flag",)}, methods={"ft": {"kind": "fine-tuning"}})
    [one] = planned(parts_of(study))
    opened = SimpleNamespace(reads=reads, backbone=SimpleNamespace(device=torch.device("cpu")))
    worker = running.Worker(tmp_path / "runs", Archive(tmp_path / "out"))
    record = worker._gang_record(one, one.part.recipe, GangRuns(tmp_path / "a", tmp_path / "e"), opened, None)
    assert record.rates == (rate,)
