from __future__ import annotations

from clinprompt.stages.leakage import LeakLine
from clinprompt.study.leakage import examples_seen, marked, sources_compared
from tests.study.story import made_up_lines


def leak(target: str, role: str, *examples: str, scored: str = "") -> LeakLine:
    return LeakLine(target, scored or target, role, "x", 200, 0, 0, 0, 0, 0, len(examples), 0.0, examples)


LEAKS = [
    leak("lab-flag", "own", "a", "b"),
    leak("lab-flag", "source", "b", "c", "d"),
    leak("lab-flag", "source", "e"),
    leak("lab-flag", "pretraining", "a", "z"),
    leak("patient-summary", "own"),
]
LEARNT = {"mpt"}


def test_a_line_counts_what_its_method_has_seen_each_example_once():
    found = {
        (line.method, line.shots): line.leakage
        for line in marked(made_up_lines(), LEAKS, learnt=LEARNT, names={})
        if line.target == "lab-flag"
    }
    assert found["trivial", "full"] == 2  # its own part: no model, no pretraining
    assert found["instruction", "0"] == 2 and found["prompt-tuning", "5"] == 3  # a z; a b z
    assert found["mpt", "0"] == 6 and found["mpt", "full"] == 6  # b c d e a z
    others = marked(made_up_lines(), LEAKS, learnt=LEARNT, names={})
    assert not any(line.leakage for line in others if line.target != "lab-flag")


def test_what_is_scored_elsewhere_has_leaks_of_its_own():
    lines = [line for line in made_up_lines() if line.target == "lab-flag"][:1]
    there = leak("site-a", "own", "q", scored="site-b")
    names = {("site-a", "site-b"): "lab-flag"}
    assert marked(lines, [there, leak("site-a", "own", "r")], learnt=LEARNT, names=names)[0].leakage == 1


def test_an_example_that_was_seen_in_several_places_and_parts_is_one():
    assert examples_seen([*LEAKS, *LEAKS]) == len("abcdez")
    assert examples_seen([leak("a", "own", "q"), leak("b", "own", "q"), leak("a", "own", "q", scored="b")]) == 2


def test_the_sources_are_those_that_were_looked_through():
    assert sources_compared(LEAKS) == ["x"] and not sources_compared(LEAKS[:1])
