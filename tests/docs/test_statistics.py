from __future__ import annotations

import doctest
import re
from dataclasses import fields

import pytest
import yaml

from clinprompt.stages.configs import LeakageCheck
from clinprompt.stages.leakage import LeakLine
from clinprompt.study.difference import Difference


@pytest.fixture
def page(repository):
    return (repository / "docs" / "concepts" / "statistics.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_are_true(page):
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE))
    found = doctest.DocTestParser().get_doctest(code, {}, "statistics.md", None, 0)
    result = doctest.DocTestRunner().run(found)
    assert result.attempted > 8 and not result.failed


def test_the_settings_and_columns_of_the_page_exist(page):
    [block] = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert LeakageCheck.model_validate(yaml.safe_load(block)["leakage"]).reader == "csv_table"
    named = {field.name for field in fields(Difference)}
    assert {"p", "p_tasks", "p_holm", "typical", "wins", "ties", "losses", "leakage"} <= named
    assert all(f"`{name}`" in page for name in ("p", "p_tasks", "p_holm", "typical", "leakage"))
    assert {"exact", "normalised", "near", "similar", "groups"} <= {field.name for field in fields(LeakLine)}
