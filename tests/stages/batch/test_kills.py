"""Runs that are killed: before every change of the file system, and at random moments."""

import random
import time

import pytest

from clinprompt.data.readers import jsonl
from clinprompt.stages.predict import predict
from tests.batch_runs import COUNT, batch_settings, files_of
from tests.zygote import ended, zygote

RUN = "tests.batch_runs:run_here"
KILLS = 5


@pytest.fixture
def whole(models, tiny, notes, tmp_path):
    """The files of a run that nobody disturbed."""

    def files(writer):
        settings = batch_settings(models, notes, tmp_path / f"whole {writer}" / "o", writer=writer)
        predict(settings, opened=tiny)
        return files_of(settings.out.parent)

    return files


@pytest.fixture
def run(models, tmp_path):
    """Starts a run in a process of its own."""
    zygote().warm("tests.batch_runs:opened", backbone=str(models / "tiny"))

    def start(settings, name, **more):
        return zygote().fork(tmp_path / name, RUN, settings=settings.model_dump_json(exclude_unset=True), **more)

    return start


@pytest.mark.parametrize(
    ("writer", "every"),
    [
        ("jsonl", 29),
        ("brat", 71),
        pytest.param("jsonl", 1, marks=pytest.mark.slow),
        pytest.param("brat", 2, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_dies_before_a_change_of_the_file_system_goes_on(
    models, notes, tmp_path, whole, run, writer, every
):  # fmt: skip
    expected, steps, change = whole(writer), [], 0
    while True:
        change += every
        settings = batch_settings(models, notes, tmp_path / f"o{change}" / "o", writer=writer, batch={"shard": 5})
        worker = run(settings, f"first-{change}", die_at=change)
        code = zygote().wait(worker)
        if code == 0:
            break
        assert code == 9, worker.said
        rows = tmp_path / f"rows-{change}"
        again = run(settings, f"second-{change}", steps=str(rows))
        ended_before = zygote().wait(again) != 0
        # What died while it tidied up had written everything, and is not done again.
        assert not ended_before or "the output is there already" in again.said, again.said
        steps.append(len(rows.read_text().split()) if rows.exists() else 0)
        assert (found := files_of(settings.out.parent)) == expected, (change, sorted(found), again.said[-300:])
    assert files_of(settings.out.parent) == expected
    # What was answered once is not answered again: 3 shards at first, none when only the joining is left.
    assert steps[0] == 3 and steps[-1] == 0 and steps == sorted(steps, reverse=True), steps


def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bytes(models, notes, tmp_path, whole, run):
    chance, settings = random.Random(3), batch_settings(models, notes, tmp_path / "o" / "o", batch={"shard": 1})
    expected, killed = whole("jsonl"), 0
    for turn in range(20):
        worker = run(settings, f"turn-{turn}", steps=str(tmp_path / "rows"))
        until = time.monotonic() + chance.uniform(0.01, 0.25)
        while killed < KILLS and time.monotonic() < until and not ended(worker.pid):
            time.sleep(0.002)
        if killed < KILLS and not ended(worker.pid):
            worker.kill()
            assert zygote().wait(worker) == -9
            killed += 1
        elif zygote().wait(worker) == 0:
            break
        else:
            pytest.fail(worker.said)
    assert files_of(settings.out.parent) == expected
    assert [document.id for document in jsonl.read(settings.out)] == [f"n{number}" for number in range(COUNT)]
    answered = len((tmp_path / "rows").read_text().split())
    assert COUNT <= answered <= COUNT + killed  # a kill loses one shard at most
    assert killed
