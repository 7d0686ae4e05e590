import json

from clinprompt.stages.scores import COUNTS, END_TO_END, GOLD_HEADS
from clinprompt.study.given_heads import given_heads, in_pairs
from clinprompt.study.table import lines
from clinprompt.tasks.catalog import load_task
from tests.study.made_cells import made_cell

TASK = load_task("cause-of-event").model_copy(update={"metrics": ("relation-f1",)})
REPORT = {"unreadable": 0, "unlocated": 0}


def scored(folder, method, seed, found, given):
    """A cell with the counts that it has end to end, and those that it has given the heads (or none)."""
    cell = made_cell(folder, TASK, method, seed, found)
    cell.record["heads"] = END_TO_END
    if given:
        cell.record.update(
            gold_heads=[{"metric": "relation-f1", "n": len(given)}], gold_heads_report=REPORT | {"unreadable": 1}
        )
        (cell.folder / GOLD_HEADS).mkdir()
        (cell.folder / GOLD_HEADS / COUNTS).write_text(json.dumps({"relation-f1": given}))
    return cell


def test_a_line_given_the_heads_is_the_mean_of_its_own_counts_and_says_what_it_is(tmp_path):
    cells = [
        scored(tmp_path, "frozen", 1, {"p": [0, 2, 2], "q": [1, 2, 2]}, {"p": [2, 2, 2], "q": [2, 2, 2]}),
        scored(tmp_path, "frozen", 2, {"p": [0, 2, 2], "q": [0, 2, 2]}, {"p": [1, 2, 2], "q": [1, 2, 2]}),
    ]
    [found] = lines(cells, {TASK.name: TASK}, resamples=100)
    [given] = lines(given_heads(cells), {TASK.name: TASK}, resamples=100)
    assert (found.metric, found.score, found.unreadable) == ("relation-f1 end to end", 12.5, 0.0)
    assert (given.metric, given.score, given.seeds, given.unreadable) == ("relation-f1 given the heads", 75.0, 2, 50.0)
    assert (given.method, given.target, given.shots) == (found.method, found.target, found.shots)
    assert in_pairs([found], [given]) == [(found, given)]


def test_a_line_that_was_not_scored_so_in_every_run_is_left_out(tmp_path):
    counts = {"p": [1, 2, 2]}
    cells = [
        scored(tmp_path, "frozen", 1, counts, counts),
        scored(tmp_path, "frozen", 2, counts, None),
        scored(tmp_path, "other", 1, counts, counts),
        made_cell(tmp_path, TASK, "trivial", 0, counts),
    ]
    assert [(cell.method, cell.seed) for cell in given_heads(cells)] == [("other", 1)]
