from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinprompt.registry import Registry
from tests.house.sources import PACKAGE, REPOSITORY, modules, name_of, package_files, tree_of

SCRIPTS = Path(sys.executable).parent


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def public(nodes: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The public functions, classes and methods of a syntax tree."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def is_overload(node: ast.AST) -> bool:
    return any(ast.unparse(mark).endswith(("overload", ".setter")) for mark in getattr(node, "decorator_list", []))


def test_every_public_name_has_a_docstring():
    bare = []
    for path in package_files():
        tree = tree_of(path)
        if tree.body and not ast.get_docstring(tree):
            bare.append(name_of(path))
        for name, node in public(tree.body):
            if not ast.get_docstring(node) and not is_overload(node):
                bare.append(f"{name_of(path)}: {name}")
    assert not bare


def test_only_the_command_line_prints():
    found = []
    for path in package_files():
        if path.is_relative_to(PACKAGE / "cli"):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append(f"{name_of(path)}:{node.lineno}")
    assert not found


def test_every_row_of_every_table_can_be_imported():
    tables = {
        id(value): value for module in modules() for value in vars(module).values() if isinstance(value, Registry)
    }
    assert {table.kind for table in tables.values()} >= {"reader", "metric", "codec", "template"}
    dead = []
    for table in tables.values():
        assert len(table)
        for name in table:
            try:
                assert table[name] is not None
            except (ImportError, AttributeError) as error:
                dead.append(f"{table.kind} {name}: {error}")
    assert not dead


def test_the_examples_in_docstrings_are_true():
    failed = []
    tried = 0
    for module in modules():
        results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
        tried += results.attempted
        if results.failed:
            failed.append(module.__name__)
    assert tried > 0 and not failed


def test_style():
    result = run_tool(str(SCRIPTS / "ruff"), "check", "--no-cache", "--output-format", "concise", ".")
    assert result.returncode == 0, result.stdout


def test_the_floors_hold():
    result = run_tool(str(SCRIPTS / "lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout
    kept, broken = re.search(r"(\d+) kept, (\d+) broken", result.stdout).groups()
    assert int(kept) >= 4 and broken == "0"


@pytest.mark.parametrize(
    "module",
    ["clinprompt.schema", "clinprompt.data.readers", "clinprompt.tasks.catalog", "clinprompt.metrics"],
)
def test_the_lower_floors_load_nothing_heavy(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'fastapi'}} & set(sys.modules)))"
    result = run_tool(sys.executable, "-c", code)
    assert result.stdout.strip() == "[]", result.stderr
