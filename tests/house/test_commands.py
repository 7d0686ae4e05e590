from __future__ import annotations

import json
import re
import resource
import shlex
import subprocess
import sys

import pytest

from clinprompt.cli.main import COMMANDS, program
from tests.house.sources import REPOSITORY
from tests.house.test_code import run_tool

HEAVY = ("torch", "transformers", "pydantic", "numpy", "pyarrow", "matplotlib")
QUICK_SECONDS = 2.0

PROBE = """
import json, sys
from clinprompt.cli import main
try:
    main.run(sys.argv[1:])
finally:
    sys.stderr.write(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def probe(*arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str], float]:
    """Run a command in a new process: how it ended, the packages it loaded, and the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = run_tool(sys.executable, "-c", PROBE, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return ended, set(json.loads(ended.stderr.splitlines()[-1])), seconds


def test_help_is_quick_and_loads_nothing_heavy():
    ended, loaded, seconds = probe("--help")
    assert ended.returncode == 0 and "distill" in ended.stdout
    assert not loaded & set(HEAVY)
    assert seconds < QUICK_SECONDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_its_help_is_light(name):
    ended, loaded, _ = probe(name, "--help")
    assert ended.returncode == 0, ended.stderr.splitlines()[0]
    assert "--json" in ended.stdout or "Commands" in ended.stdout
    assert not loaded & {"torch", "transformers"}


def commands_in(text: str) -> list[list[str]]:
    """The ``clinprompt`` commands in the code blocks of a page."""
    found = []
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        if kind not in ("", "bash", "sh", "shell", "console", "text"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True) if "clinprompt" in line else []
            if words and words[0].rpartition("/")[2] == "clinprompt":
                found.append(words[1:])
    return found


def known_options(words: list[str]) -> set[str]:
    """The options of the command that the words name; fails when there is no such command."""
    command = program()
    for word in words:
        if not hasattr(command, "commands"):
            break
        assert word in command.commands, f"there is no command {word}"
        command = command.commands[word]
        command = command.load() if hasattr(command, "load") else command
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


PAGES = [path for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))) if path.exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_commands_of_a_page_exist(page):
    for words in commands_in(page.read_text(encoding="utf-8")):
        options = known_options(words) | {"--help", "-h", "--version"}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in options, f"{page.name}: clinprompt {' '.join(words)}: {word}"


def test_commands_are_found_in_pages():
    page = "text\n```bash\n$ .venv/bin/clinprompt doctor --json  # look\nclinprompt show \\\n  tasks\nmake demo\n```\n"
    assert commands_in(page) == [["doctor", "--json"], ["show", "tasks"]]
    assert "--json" in known_options(["doctor"])
    with pytest.raises(AssertionError, match="no command docter"):
        known_options(["docter"])


def test_the_readme_shows_a_command_early():
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert any(line.startswith(("make demo", "clinprompt")) for line in lines[:10])
