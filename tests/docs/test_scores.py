from __future__ import annotations

import doctest
import re

import pytest

from clinprompt.metrics import METRICS


@pytest.fixture
def page(repository):
    return (repository / "docs" / "concepts" / "scores.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_are_true(page):
    # Only the code blocks: prose between them is no expected output.
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE))
    found = doctest.DocTestParser().get_doctest(code, {}, "scores.md", None, 0)
    result = doctest.DocTestRunner().run(found)
    assert result.attempted > 20 and not result.failed


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_is_on_the_page(page, name):
    row = name.removesuffix("-macro")
    if row == "relation-f1:n2c2-2018" or row == "relation-f1-lenient:n2c2-2018":
        row = row.partition(":")[0]  # told with those of spans
    assert f"`{row}" in page
