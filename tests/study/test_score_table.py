from __future__ import annotations

import dataclasses

from clinprompt.study.console_table import console_differences, console_groups, console_table, p_text
from clinprompt.study.score_table import TRIVIAL, score_table
from tests.study.story import SHOTS, TARGETS, TRAINED, line, made_up_groups, made_up_lines


def test_columns_stand_by_kind_and_rows_by_shots():
    table = score_table(made_up_lines())
    assert table.kinds == [
        ("entities", 2), ("relations", 1), ("question-answering", 1), ("inference", 1), ("summarisation", 1)
    ]  # fmt: skip
    assert [column.target for column in table.columns][:2] == ["substance-use-site-b", "social-determinants"]
    titles = [block.title for block in table.blocks]
    assert titles == [
        "no model", "0 shots", "1 shot", "5 shots", "10 shots", "20 shots", "all training examples"
    ]  # fmt: skip
    assert [row.method for row in table.blocks[1].rows] == ["instruction", "mpt"]
    assert [row.method for row in table.blocks[-1].rows] == list(TRAINED)


def test_best_is_per_target_and_shot_count_among_rivals_as_printed():
    lines = [
        line(TRIVIAL, "lab-flag", "full", 99.0, trainable=0, runs=1),
        line("mpt", "lab-flag", "5", 50.04, trainable=1, runs=1),
        line("lora", "lab-flag", "5", 49.96, trainable=1, runs=1),
        line("fine-tuning", "lab-flag", "5", 49.94, trainable=1, runs=1),
        line("mpt", "lab-flag", "full", 99.04, trainable=1, runs=1),
    ]
    entries = {(row.method, row.shots): row.entries[0] for block in score_table(lines).blocks for row in block.rows}
    assert {place for place, entry in entries.items() if entry.best} == {("mpt", "5"), ("lora", "5")}
    assert {place for place, entry in entries.items() if not entry.low_mark} == {(TRIVIAL, "full")}


def test_a_score_above_the_trivial_one_has_no_low_mark_and_without_trivial_none_has():
    lines = [line("mpt", "lab-flag", "full", 0.0, trainable=1, runs=1)]
    assert not score_table(lines).blocks[0].rows[0].entries[0].low_mark
    floor = line(TRIVIAL, "lab-flag", "full", 0.0, trainable=0, runs=1)
    assert score_table([*lines, floor]).blocks[1].rows[0].entries[0].low_mark
    above = dataclasses.replace(lines[0], score=0.1)
    assert not score_table([above, floor]).blocks[1].rows[0].entries[0].low_mark


def test_the_console_table_has_a_row_per_method_and_shots_and_a_dash_where_nothing_was_run():
    lines = [found for found in made_up_lines() if (found.method, found.target) != ("lora", "lab-flag")]
    columns, rows = console_table(lines)
    assert columns[:3] == ["method", "shots", "substance-use-site-b (span-f1)"]
    assert columns[-1] == "trainable" and len(columns) == len(TARGETS) + 3
    assert all(len(row) == len(columns) for row in rows)
    assert [row[:2] for row in rows[:4]] == [
        ["trivial", "full"], ["instruction", "0"], ["mpt", "0"], ["mpt", "1"]
    ]  # fmt: skip
    assert len(rows) == 2 + 1 + len(TRAINED) * (len(SHOTS) - 1)
    assert rows[0][2] == "18.1 [11.8–23.9]"
    at = columns.index("lab-flag (accuracy)")
    assert {row[at] for row in rows if row[0] == "lora"} == {"–"}
    assert rows[-1][-1] == "1,234,560"


def test_the_consoles_tables_of_groups_and_differences_are_compact():
    groups, differences = made_up_groups(made_up_lines())
    columns, rows = console_groups(groups)
    assert columns == ["method", "shots", "far (4)", "near (2)", "all (6)"]
    assert [row[:2] for row in rows[:4]] == [["trivial", "full"], ["instruction", "0"], ["mpt", "0"], ["mpt", "1"]]
    assert rows[0][3].startswith("21.6 [")  # (18.13 + 25.13) / 2
    columns, rows = console_differences(differences)
    assert len(rows) == sum(not found.target for found in differences) > 0
    assert all(len(row) == len(columns) for row in rows)
    assert rows[0][:4] == ["far", "1", "mpt", "prompt-tuning"] and rows[0][-1] == "significantly higher"
    assert columns[5:9] == ["p", "targets + = −", "p targets", "Holm"]
    first = next(found for found in differences if not found.target)
    assert rows[0][5:9] == [
        p_text(first.p), f"{first.wins} {first.ties} {first.losses}", p_text(first.p_tasks), p_text(first.p_holm)
    ]  # fmt: skip
    assert rows[0][4].startswith("+1.8 [+")
    assert rows[2][3] == "better of the references: prompt-tuning"


def test_the_console_marks_leaking_cells():
    lines = [dataclasses.replace(line, leakage=int(line.target == "lab-flag")) for line in made_up_lines()]
    columns, rows = console_table(lines)
    place = next(number for number, name in enumerate(columns) if name.startswith("lab-flag"))
    assert all(
        cell.endswith("†") == (number == place) or cell == "–" for row in rows for number, cell in enumerate(row)
    )
    groups, differences = made_up_groups(lines)
    _, rows = console_groups(groups)
    assert all(row[2].endswith("†") or row[2] == "–" for row in rows) and not any("†" in row[3] for row in rows)
    _, rows = console_differences(differences)
    assert {row[0] for row in rows if "†" in row[4]} == {"far", "all"}
