"""The user's faults through the real command line: one clear paragraph, exit code 2, no note text, nothing half-written."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from clinprompt.cli.console import Console
from tests.made_backbones import tiny_folder
from tests.made_notes import CANARY, write_notes

SHORT = ("--method", "prompt-tuning", "--set", "method.budget.steps=4", "--set", "prompt.length=4")
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with a corpus of canaries and a tiny backbone."""
    monkeypatch.chdir(tmp_path)
    write_notes(tmp_path / "notes")
    tiny_folder(tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def data(place, clinprompt):
    assert clinprompt("data", "import", "notes", "-o", "data").code == 0
    return place / "data"


@pytest.fixture
def refused(place, clinprompt):
    """Runs a command that must be refused; gives what it said."""

    def call(*arguments, shows, left=("runs",)):
        before = tree(place)
        ended = clinprompt(*arguments)
        assert ended.code == 2, ended.err
        said = ended.err[ended.err.index("error: ") :]
        assert said.count("\n") == 1 + said.count("\n  - ")  # one paragraph, or one line per fault
        for words in (*shows,):
            assert words in said, said
        for stream in (ended.out, ended.err):
            assert "Traceback" not in stream and CANARY not in stream
        fresh = tree(place) - before
        assert all(path.parts[0] in left for path in fresh), fresh
        assert not any(path.name == "done.json" or "outputs" in path.parts[:-1] for path in fresh)
        for path in fresh:
            assert CANARY.encode() not in path.read_bytes(), path
        return said

    return call


def tree(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_a_line_that_is_no_annotation(place, refused):
    with (place / "notes" / "n2.ann").open("a") as file:
        file.write(f"T9 Drug 11 21 {CANARY}\n")
    refused("data", "import", "notes", "-o", "out", shows=("n2.ann line 7", "Allowed: lines beginning with T, E"))
    assert not (place / "out").exists()


def test_offsets_that_do_not_give_the_words(place, refused):
    file = place / "notes" / "n4.ann"
    first, _, rest = file.read_text().partition("\n")
    file.write_text(re.sub(r"(\d+) (\d+)", lambda m: f"{int(m[1]) + 1} {int(m[2]) + 1}", first, count=1) + "\n" + rest)
    with (place / "notes" / "n5.ann").open("a") as file:
        file.write(f"T9\tDrug 0 9999\t{CANARY}\n")
    refused(
        "data", "import", "notes", "-o", "out",
        shows=("2 faults", "n4.ann line 1", "the words of T1", "count characters", "n5.ann line 7", "0-9999"),
    )  # fmt: skip


def test_a_label_outside_the_schema(place, refused):
    (place / "task.yaml").write_text(
        "name: t\nkind: entities\ncodec: entities\ninstruction: go\nlabels: [Drug, Dosis]\nmetrics: [span-f1]\n"
    )
    refused(
        "data", "import", "notes", "-o", "out", "--task", "task.yaml",
        shows=("'Dose' (24 times", "did you mean 'Dosis'", "Allowed: Dosis, Drug", "Add them to the task's labels"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "wrong", "shown"),
    [
        (("brta", "notes"), "brta", "brat"),
        (("notes", "--task", "medication"), "medication", "medications"),
        (("notes", "--kind", "relation"), "relation", "relations"),
    ],
)
def test_misspelt_names_of_an_import(place, refused, words, wrong, shown):
    said = refused("data", "import", *words, "-o", "out", shows=(repr(wrong), "Did you mean", shown))
    assert said.endswith("?\n")


def test_notes_that_are_not_there(refused):
    refused("data", "import", "nowhere", "-o", "out", shows=("nowhere", "Check the path"))


def test_an_output_folder_with_something_in_it(place, data, refused):
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    refused("data", "import", "notes", "-o", "data", shows=("not empty", "data"))
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize(
    "harm, shows",
    [
        (lambda folder: (folder / "config.json").unlink(), ("no config.json", "embedded")),
        (lambda folder: (folder / "model.safetensors").unlink(), ("no *.safetensors", "pickled")),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"junk"), ("cannot be opened", "tiny")),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), ("cannot be opened", "tiny")),
    ],
)
def test_a_backbone_that_cannot_be_read(place, data, refused, harm, shows):
    harm(place / "tiny")
    refused("adapt", "data", "-b", "tiny", *SHORT, shows=shows)


def test_a_backbone_that_is_not_there(data, refused):
    refused("adapt", "data", "-b", "no/such-model", *SHORT, shows=("no/such-model", "--online"))
    refused("adapt", "data", "-b", "./nothing", *SHORT, shows=("nothing", "no backbone folder"))


def test_a_prompt_of_another_backbone(place, data, clinprompt, refused):
    assert clinprompt("adapt", "data", "-b", "tiny", *SHORT, "--out", "bank").code == 0
    tiny_folder(place / "other", seed=4)
    shows = ("do not carry over", "bank/data.safetensors", "clinprompt adapt")
    for command in ("predict", "evaluate"):
        tail = ("notes", "-p", "bank/data.safetensors", "-o", "out") if command == "predict" else (
            "data", "-p", "bank/data.safetensors")  # fmt: skip
        refused(command, *tail, "-b", "other", shows=shows)


def test_weights_trained_on_another_backbone(place, data, clinprompt, refused):
    assert clinprompt("adapt", "data", "-b", "tiny", "--method", "lora", "--set", "method.budget.steps=1").code == 0
    [run] = place.glob("runs/adapt/*")
    tiny_folder(place / "other", seed=4)
    refused("evaluate", "data", "-p", str(run), "-b", "other", shows=("made on the backbone", "--backbone", run.name))


def test_a_file_that_is_no_prompt(place, data, refused):
    refused(
        "predict", "notes", "-p", "notes/n0.txt", "-o", "out", "-b", "tiny", shows=("not a clinprompt prompt file",)
    )
    refused("evaluate", "data", "-p", "notes", "-b", "tiny", shows=("neither a prompt file nor a run", "notes"))


def test_a_note_longer_than_the_context_is_read_in_windows_where_there_is_room(place, data, clinprompt, refused):
    assert clinprompt("adapt", "data", "-b", "tiny", *SHORT, "--out", "bank").code == 0
    (place / "long").mkdir()
    (place / "long" / "a.txt").write_text(f"{CANARY} " * 400)
    refused(
        "predict", "long", "-p", "bank/data.safetensors", "-o", "out", "-b", "tiny", "--answer-tokens", "2040",
        shows=("example a", "at most 2048 tokens", "answer_tokens"),
    )  # fmt: skip
    read = clinprompt("predict", "long", "-p", "bank/data.safetensors", "-o", "out", "-b", "tiny", "--window", "100000",
                      "--answer-tokens", "2")  # fmt: skip
    assert read.code == 0 and "1 of 1 notes in several windows, 0 characters left out" in read.err


def test_training_rows_longer_than_the_context(place, data, refused):
    tiny_folder(place / "narrow", context=40)
    refused("adapt", "data", "-b", "narrow", *SHORT, shows=("example n", "at most 40 tokens", "narrow", "data.window"))


def test_a_method_that_does_not_exist(data, refused):
    shown = ("prompt-tunning", "Did you mean prompt-tuning")
    refused("adapt", "data", "-b", "tiny", "--method", "prompt-tunning", shows=shown)


def test_a_misspelt_setting_in_a_file_and_one_on_the_command_line(place, data, refused):
    (place / "adapt.yaml").write_text(
        "backbone: {path: tiny}\nmethod:\n  kind: prompt-tuning\n  budget:\n    stepps: 3\n    rates: fast\n"
    )
    refused(
        "adapt", "data", "-c", "adapt.yaml", "--set", "prompt.lenght=3",
        shows=("3 faults", "adapt.yaml line 5", "method.budget.stepps", "Did you mean steps", "adapt.yaml line 6",
               "--set prompt.lenght=3", "Did you mean length"),
    )  # fmt: skip


@pytest.mark.parametrize("shots", ["all", "2.5", "-1"])
def test_a_shot_count_that_is_none(data, refused, shots):
    refused("adapt", "data", "-b", "tiny", *SHORT, f"--shots={shots}", shows=("shots",))


def test_mpt_without_a_metaprompt_and_with_one_that_is_not_there(data, refused):
    refused(
        "adapt",
        "data",
        "-b",
        "tiny",
        shows=(
            "take a `metaprompt`",
            "prompt-tuning",
        ),
    )
    refused("adapt", "data", "-b", "tiny", "--metaprompt", "no.safetensors", shows=("no.safetensors",))


def test_data_that_were_never_imported(place, refused):
    refused("adapt", "notes", "-b", "tiny", *SHORT, shows=("no prepared task", "clinprompt data import"))
    refused("data", "describe", "nowhere", shows=("nowhere",))


def test_with_json_the_fault_is_one_object_too(place, clinprompt):
    ended = clinprompt("data", "import", "nowhere", "-o", "out", "--json")
    [fault] = json.loads(ended.out)["errors"]
    assert ended.code == 2 and fault["where"] == "nowhere" and fault["fix"]


def trained(runs):
    [file] = runs.rglob("outputs/**/prompt.safetensors")
    return load_file(file)["vectors"]


def metrics(runs):
    [file] = runs.glob("adapt/*/metrics.jsonl")
    return file.read_text()


@pytest.mark.parametrize("save_every", [0.0, 1e9], ids=["with a checkpoint", "without"])
def test_an_interrupted_run_goes_on_with_the_same_command(data, clinprompt, monkeypatch, save_every):
    from clinprompt.training.loop import train

    monkeypatch.setattr(train, "__kwdefaults__", {**train.__kwdefaults__, "save_every": save_every})
    command = ("adapt", "data", "-b", "tiny", *SHORT, "--set", "method.budget.steps=6")
    assert clinprompt(*command, "--runs", "straight").code == 0

    with monkeypatch.context() as patched:
        true = Console.progress

        def dying(self, name, total):
            bar = true(self, name, total)

            class Bar:
                def __enter__(self):
                    advance, calls = bar.__enter__(), []

                    def stop(*steps, **values):
                        advance(*steps, **values)
                        calls.append(1)
                        if len(calls) == 3:
                            raise KeyboardInterrupt

                    return stop

                def __exit__(self, *error):
                    return bar.__exit__(*error)

            return Bar()

        patched.setattr(Console, "progress", dying)
        ended = clinprompt(*command, "--runs", "stopped", "--out", "bank")
    assert ended.code == 130 and "run the same command again to resume" in ended.err and "Traceback" not in ended.err
    runs = data.parent / "stopped"
    assert not list(runs.rglob("done.json")) and not list(runs.rglob("prompt.safetensors"))
    assert not (data.parent / "bank").exists()
    assert clinprompt("evaluate", "data", "-b", "tiny", "-p", next(runs.glob("adapt/*")).as_posix()).code == 2
    assert clinprompt(*command, "--runs", "stopped").code == 0
    assert trained(runs).equal(trained(data.parent / "straight"))
    assert metrics(runs) == metrics(data.parent / "straight")


def hears_interrupts() -> None:
    """Undo what a shell does to commands in its background: their children would ignore the signal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_real_interrupt_from_outside(data, clinprompt):
    command = ["adapt", "data", "-b", "tiny", *SHORT, "--set", "method.budget.steps=400"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        [sys.executable, "-m", "clinprompt.cli.main", *command],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hears_interrupts,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not [file for file in Path("runs").glob("adapt/*/metrics.jsonl") if file.stat().st_size]:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "run the same command again to resume" in err
    assert "Traceback" not in err and CANARY not in out + err
    assert not list(Path("runs").rglob("done.json")) and not list(Path("runs").rglob("*.lock"))
