from __future__ import annotations

import re

from tests.house.sources import REPOSITORY, name_of, package_files, python_files, text_of, tracked

MOST_LINES = 300
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
# A place on one machine: a home, a work folder, a drive. Written so that it does not match itself.
MACHINE = re.compile(r"(?<![\w.:/<>-])/(?:work|root|home|Users|opt|mnt)/\w|\b[C-F]:\\\w")
GENERATED = ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json")

# Folders of notes, whose text is kept character for character.
NOTES = {"samples", "notes", "new-notes"}


def test_no_module_is_longer_than_the_house_allows():
    long = {
        name_of(path): count for path in python_files() if (count := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert not long


def test_no_file_is_a_drawer():
    assert not [name_of(path) for path in python_files() if path.stem.strip("_") in DRAWERS]


def test_no_file_names_a_place_on_one_machine():
    found = []
    for path in tracked():
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{name_of(path)}:{number}")
    assert not found


def test_the_rule_about_places_finds_them():
    assert MACHINE.search("see /" + "home/ann/data") and MACHINE.search("C:" + "\\Users")
    assert not MACHINE.search("https://example.org/" + "home/ann") and not MACHINE.search("runs/" + "work/x")


def test_every_text_file_ends_with_a_newline():
    missing = []
    for path in tracked():
        text = text_of(path)
        if text and not text.endswith("\n") and path.name not in GENERATED and not NOTES & set(path.parts):
            missing.append(name_of(path))
    assert not missing


def test_what_the_package_needs_is_tracked():
    needed = {f"src/clinprompt/{name}" for name in ("data/readers/__init__.py", "prompts/bank.py", "tasks/catalog.py")}
    assert needed <= {name_of(path) for path in package_files()}
    assert {"Makefile", "constraints.txt", "LICENSE", ".ci/run"} <= {name_of(path) for path in tracked()}


def test_the_constraints_are_plain():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin) for pin in pins)
    assert any(pin.startswith("torch==") for pin in pins)
    assert not any(pin.lower().startswith("clinprompt") for pin in pins)
