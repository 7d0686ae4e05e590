from __future__ import annotations

import json

import pytest

from tests.made_notes import CANARY, write_notes


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_notes(tmp_path / "notes")
    rows = "".join(f"{n},{CANARY} {n},{'low' if n % 3 else 'high'},p{n}\n" for n in range(24))
    (tmp_path / "flags.csv").write_text(f"row,remark,verdict,who\n{rows}")
    return tmp_path


def result(ended):
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_the_format_is_guessed_and_said(place, clinprompt):
    ended = clinprompt("data", "import", "notes", "-o", "out")
    assert ended.code == 0 and "read as brat: the folder holds 12 files that end in .ann" in ended.err
    assert "read as" not in clinprompt("data", "import", "brat", "notes", "-o", "out2").err


def test_options_of_the_reader(place, clinprompt):
    asked = ("data", "import", "flags.csv", "-o", "out", "--json")
    refused = clinprompt(*asked)
    assert refused.code == 2 and "cannot be guessed" in refused.err and CANARY not in refused.err
    options = [word for pair in ("note=remark", "label=verdict", "group=who") for word in ("--option", pair)]
    named = ("data", "import", "csv_table", "flags.csv", "-o", "out", "--json")
    manifest = result(clinprompt(*named, *options))["manifest"]
    assert {label for part in manifest["parts"].values() for label in part["labels"]} == {"low", "high"}
    for wrong, said in (("note", "not an option"), ("nota=remark", "named 'nota'")):
        ended = clinprompt(*named, "--option", wrong)
        assert ended.code == 2 and said in ended.err


def test_the_division_is_named(place, clinprompt):
    parts = result(clinprompt("data", "import", "auto", "notes", "-o", "a", "--split", "test=0.5,seed=4", "--json"))
    assert parts["manifest"]["parts"]["test"]["groups"] > parts["manifest"]["parts"]["dev"]["groups"]
    for wrong in (
        "half",
        "test=",
        "test=1",
        "train=0.5",
        "dev=x,test=0.2",
        "exam=x",
        "seed=1.5",
        "dev=a,test=b",
        "train=",
    ):
        ended = clinprompt("data", "import", "notes", "-o", "b", "--split", wrong)
        assert ended.code == 2 and len(ended.err.strip().splitlines()) <= 2, ended.err
        assert not (place / "b").exists()
    assert clinprompt("data", "import", "brat", "notes", "more", "-o", "b").code == 2


def test_parts_that_are_given_are_kept(place, clinprompt):
    for number in range(12):
        folder = place / "notes" / ("held-out" if number % 3 == 0 else "train")
        folder.mkdir(exist_ok=True)
        for suffix in ("txt", "ann"):
            (place / "notes" / f"n{number}.{suffix}").rename(folder / f"n{number}.{suffix}")
    asked = ("data", "import", "notes", "-o", "out", "--split", "train=train,test=held-out", "--json")
    parts = result(clinprompt(*asked))["manifest"]["parts"]
    assert {name: part["groups"] for name, part in parts.items()} == {"train": 8, "test": 4}
    assert result(clinprompt("data", "check", "out", "--json"))["faults"] == 0
    refused = clinprompt(*asked[:-2], "train=train,dev=gone", "--overwrite")
    assert refused.code == 2 and "gone" in refused.err


def test_an_option_goes_before_a_guess(place, clinprompt):
    (place / "q.jsonl").write_text("".join(f'{{"id": "{n}", "text": "{n}", "label": "a{n % 2}"}}\n' for n in range(30)))
    ended = clinprompt("data", "import", "q.jsonl", "-o", "out", "--option", "label_map={a0: even}", "--json")
    parts = result(ended)["manifest"]["parts"]
    assert {label for part in parts.values() for label in part["labels"]} == {"even", "a1"}


def test_describe_check_and_sample(place, clinprompt):
    assert clinprompt("data", "import", "notes", "-o", "out").code == 0
    described = result(clinprompt("data", "describe", "out", "--picture", "p.svg", "--json"))
    assert described["unit"] == "characters" and described["profiles"]["train"]["notes"][0] > 0
    assert (place / "p.svg").is_file()
    assert result(clinprompt("data", "check", "out", "--json")) == {"faults": 0, "findings": []}
    shown = clinprompt("data", "sample", "out", "--shots", "2", "--draw", "1")
    assert shown.code == 0 and "Dose 2, Drug 2" in shown.out and CANARY not in shown.out + shown.err
    assert CANARY in clinprompt("data", "sample", "out", "--shots", "2", "--text").out


def test_describe_shows_the_values_of_attributes_by_label(place, clinprompt):
    for number in range(12):
        with (place / "notes" / f"n{number}.ann").open("a") as file:
            file.write("A1\tNegated T1\n" if number % 2 else f"A1\tcertainty T2 low\nA2\tremark T2 {CANARY}{number}\n")
    assert clinprompt("data", "import", "notes", "-o", "out", "--attribute", "assertion").code == 0
    asked = result(clinprompt("data", "describe", "out", "--json"))["profiles"]["train"]["attributes"]
    assert asked["Drug"]["assertion"].keys() == {"present", "absent"}
    assert clinprompt("data", "import", "notes", "-o", "all").code == 0
    shown = clinprompt("data", "describe", "all")
    assert "certainty" in shown.out and "low " in shown.out and CANARY not in shown.out + shown.err


def test_faults_of_a_prepared_task(place, clinprompt):
    assert clinprompt("data", "import", "notes", "-o", "out").code == 0
    task = json.loads((place / "out/task.json").read_text())
    task["labels"], task["verbalizer"] = ["Drug"], {}
    (place / "out/task.json").write_text(json.dumps(task))
    ended = clinprompt("data", "check", "out")
    assert ended.code == 2 and "a label is not one of the task's" in ended.out
    assert "12 faults were found (out)" in ended.err and CANARY not in ended.out + ended.err


def test_sections_are_counted_and_no_text_is_shown(place, clinprompt):
    (place / "notes" / "n0.txt").write_text(f"Seen.\nALLERGIES: {CANARY}\nPlan:\n{CANARY}\nAllergies: none")
    (place / "rules.yaml").write_text("extends: none\nsections: {next-steps: [plan]}\n")
    counted = {one["id"]: one for one in result(clinprompt("data", "sections", "notes", "--json"))["sections"]}
    assert counted["allergies"] | {"characters": 0} == {"id": "allergies", "notes": 1, "times": 2, "characters": 0}
    texts = [file.read_bytes().decode() for file in (place / "notes").glob("*.txt")]
    assert sum(one["characters"] for one in counted.values()) == sum(map(len, texts))
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts)]
    (place / "notes.jsonl").write_text("\n".join(lines))
    ended = clinprompt("data", "sections", "notes.jsonl", "--json")
    assert {one["id"]: one for one in result(ended)["sections"]} == counted and "read as jsonl" in ended.err
    own = clinprompt("data", "sections", "notes", "--sections", "rules.yaml")
    assert "next-steps" in own.out and "allergies" not in own.out and CANARY not in own.out + own.err
    refused = clinprompt("data", "sections", "notes", "--sections", "notes/n0.txt")
    assert refused.code == 2 and "section rules" in refused.err and CANARY not in refused.err
