"""Documents beside what was answered about them and by what, as writers take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any

from clinprompt.data.stream import Stream
from clinprompt.schema.document import Document

Answers = Mapping[str, str | None]
"""Class, option key or text by the name of the task that asked."""


def answered(documents: Iterable[Document], answers: Iterable[Answers] | None) -> Iterator[tuple[Document, Answers]]:
    """Each document with its answers; none where there are no answers at all."""
    if answers is None:
        return zip(documents, repeat({}), strict=False)
    return zip(documents, answers, strict=True)


def again(documents: Iterable[Document], answers: Iterable[Answers] | None) -> Iterable[tuple[Document, Answers]]:
    """:func:`answered` for writers that go through documents twice; what can be read only once is held in a list."""
    pairs = answered(documents, answers)
    if iter(documents) is documents or (answers is not None and iter(answers) is answers):
        return list(pairs)
    return Stream(lambda: answered(documents, answers))


def made_by(provenance: Mapping[str, Any] | None) -> str:
    """One line that names version, prompts and backbone of a run; empty without provenance.

    >>> made_by({"clinprompt": "0.1", "backbone": "ab12", "prompts": [{"task": "drugs", "sha256": "0123456789abcdef"}]})
    'clinprompt 0.1; drugs 0123456789ab; backbone ab12'
    """
    if not provenance:
        return ""
    parts = [f"clinprompt {provenance['clinprompt']}"] if "clinprompt" in provenance else ["clinprompt"]
    for prompt in provenance.get("prompts", ()):
        named = (prompt.get("task"), prompt.get("version"), str(prompt.get("sha256", ""))[:12])
        parts.append(" ".join(str(part) for part in named if part))
    if "backbone" in provenance:
        parts.append(f"backbone {provenance['backbone']}")
    return "; ".join(parts)
