from __future__ import annotations

import json
import os
import sys
import types

import pytest
import typer

from clinprompt import __version__
from clinprompt.cli import main
from clinprompt.cli.console import console
from clinprompt.errors import InputError, raise_all


@pytest.fixture
def command(monkeypatch):
    """Puts a function (or an app) of the test into the table of commands under the name ``probe``."""

    def put(part) -> None:
        module = types.ModuleType("clinprompt_probe")
        module.part = part
        monkeypatch.setitem(sys.modules, "clinprompt_probe", module)
        monkeypatch.setitem(main.COMMANDS, "probe", ("clinprompt_probe:part", "Start", "A probe."))

    return put


def test_help_lists_every_command_in_its_panel(clinprompt):
    ended = clinprompt("--help")
    assert ended.code == 0
    for name, (_, panel, line) in main.COMMANDS.items():
        assert name in ended.out and panel in ended.out and line.split()[0] in ended.out


def test_version(clinprompt):
    assert clinprompt("--version").out == f"clinprompt {__version__}\n"


def test_no_command_and_a_misspelt_command_are_the_users_fault(clinprompt):
    assert clinprompt().code == 2
    ended = clinprompt("docter")
    assert ended.code == 2 and "doctor" in ended.err


def test_an_input_error_is_one_paragraph_and_exit_code_2(clinprompt, command):
    def probe(count: int = 1) -> None:
        raise InputError(
            "the label 'Drg' is not in the schema", where="notes/7.ann line 3", allowed="drug", fix="mend it"
        )

    command(probe)
    ended = clinprompt("probe", "--count", "3")
    assert ended.code == 2 and ended.out == ""
    assert ended.err == ("error: the label 'Drg' is not in the schema (notes/7.ann line 3). Allowed: drug. Mend it.\n")


def test_with_json_an_error_is_also_an_object_on_stdout(clinprompt, command):
    command(lambda: raise_all([InputError("first", where="a"), InputError("second", fix="mend it")]))
    ended = clinprompt("probe", "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["errors"] == [
        {"what": "first", "where": "a", "allowed": "", "fix": ""},
        {"what": "second", "where": "", "allowed": "", "fix": "mend it"},
    ]
    assert "2 faults" in ended.err


def test_an_interrupt_says_how_to_go_on(clinprompt, command):
    def probe() -> None:
        raise KeyboardInterrupt

    command(probe)
    ended = clinprompt("probe")
    assert ended.code == 130
    assert ended.err == "interrupted; run the same command again to resume\n"


def test_a_fault_of_ours_keeps_its_traceback_without_local_variables(clinprompt, command):
    def probe() -> None:
        note = "Mr Smith"  # noqa: F841 - what a traceback with local variables would print
        raise RuntimeError("ours")

    command(probe)
    ended = clinprompt("probe")
    assert ended.code == 1
    assert "RuntimeError: ours" in ended.err and "fault of clinprompt" in ended.err
    assert "Smith" not in ended.err


def test_a_command_whose_package_is_missing_says_which(clinprompt, monkeypatch):
    monkeypatch.setitem(main.COMMANDS, "probe", ("no_such_package_here:part", "Start", "A probe."))
    ended = clinprompt("probe")
    assert ended.code == 2 and "'no_such_package_here'" in ended.err


def test_json_keeps_stdout_for_one_object(clinprompt, command):
    def probe() -> None:
        console.stage("probe", "two tasks")
        console.table(("task", "f1"), [("ade", 71.53219), ("[dose]", True)], title="scores")
        with console.progress("probe", 2) as advance:
            advance(2, loss=0.25)
        console.result({"f1": 71.5, "text": "é"})

    command(probe)
    plain = clinprompt("probe")
    assert "71.53" in plain.out and "[dose]" in plain.out and "yes" in plain.out
    assert "▸ probe  two tasks" in plain.err and "probe 2 done in 0 s loss 0.25" in plain.err
    machine = clinprompt("probe", "--json")
    assert json.loads(machine.out) == {"f1": 71.5, "text": "é"} and machine.out.count("\n") == 1
    assert "[dose]" in machine.err
    assert "71.53" in clinprompt("probe").out  # the switch does not outlive its command


def test_groups_get_the_shared_options_too(clinprompt, command):
    app = typer.Typer()

    @app.command("import")
    def import_(name: str) -> None:
        console.result({"name": name, "offline": os.environ["HF_HUB_OFFLINE"]})

    @app.command()
    def describe() -> None:
        console.line("described")

    command(app)
    assert json.loads(clinprompt("probe", "import", "ade", "--json").out) == {"name": "ade", "offline": "1"}
    online = clinprompt("probe", "import", "ade", "--online", "--json")
    assert json.loads(online.out)["offline"] == "0"
    assert clinprompt("probe", "describe").err == "described\n"
    assert "import" in clinprompt("probe", "--help").out


def test_the_posture_is_set_before_a_command_is_imported(clinprompt, command):
    seen: dict[str, str] = {}
    command(lambda: seen.update(os.environ))
    clinprompt("probe")
    assert {name: seen[name] for name in main.POSTURE} == main.POSTURE


@pytest.mark.parametrize(
    "words", [("run",), ("study", "plan"), ("study", "run"), ("study", "report"), ("adapt", "-c")], ids=" ".join
)
def test_a_file_of_settings_that_is_not_there_is_told_in_a_paragraph(clinprompt, words):
    ended = clinprompt(*words, "nowhere.yaml")
    assert ended.code == 2 and ended.err == "error: this file does not exist (nowhere.yaml). Check the path.\n"
