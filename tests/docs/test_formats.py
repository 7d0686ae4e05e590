from __future__ import annotations

import re

import pytest

from clinprompt.data.readers import READERS
from clinprompt.data.writers import WRITERS


@pytest.mark.parametrize(("heading", "table"), [("that are read", READERS), ("that are written", WRITERS)])
def test_every_reader_and_writer_has_its_row(repository, heading, table):
    page = (repository / "docs" / "guides" / "formats.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## Formats {heading}\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert sorted(rows) == sorted(table)
