"""What is wrong with a data set, or deserves a look, found by going through every example."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clinprompt.data.overlap import overlap
from clinprompt.errors import InputError
from clinprompt.schema.document import check_relations, check_spans
from clinprompt.schema.example import Example

SHOWN = 5
"""Ids that a finding names at most."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing found in one part: a ``fault`` (scores would be wrong) or only worth a look.

    ``examples`` are the first ids; no finding holds text of a note.
    """

    part: str
    what: str
    count: int
    examples: tuple[str, ...]
    fault: bool


def inspect_parts(
    parts: Mapping[str, Sequence[Example]], *, labels: Sequence[str] = (), wants: str = ""
) -> list[Finding]:
    """Go through all parts: offsets, empty texts, gold answers, repeats, and what two parts share.

    ``labels`` are the only ones allowed (none: any), ``wants`` the field of the answer that each example
    needs (``label``, ``text`` or nothing). The list is empty when there is nothing to say.
    """
    findings: list[Finding] = []
    for part, examples in parts.items():
        found = _found_in(examples, allowed=set(labels), wants=wants)
        for (what, fault), ids in found.items():
            findings.append(Finding(part, what, len(ids), tuple(ids[:SHOWN]), fault))
    return findings + _between(parts)


def _found_in(examples: Sequence[Example], *, allowed: set[str], wants: str) -> dict[tuple[str, bool], list[str]]:
    """(what, whether it is a fault) to the ids of the examples."""
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    ids = Counter(example.id for example in examples)
    answers: dict[tuple[tuple[str, str], ...], Example] = {}
    for example in examples:
        answer, name = example.answer, example.id
        if ids[name] > 1:
            found["the id stands more than once", True].append(name)
        if not example.note.strip():
            found["the note is empty", False].append(name)
        if not _sound(example):
            found["a span or relation does not lie in the note", True].append(name)
        elif any(words != words.strip() for words in (span.surface(example.note) for span in answer.spans)):
            found["a span begins or ends with a blank", False].append(name)
        if wants and getattr(answer, wants) is None:
            found[f"there is no gold {wants}", True].append(name)
        elif wants == "text" and not (answer.text or "").strip():
            found["the gold text is empty", False].append(name)
        if example.choices and answer.label not in dict(example.choices):
            found["the gold label is none of the options", True].append(name)
        if allowed and not _labels(example) <= allowed:
            found["a label is not one of the task's", True].append(name)
        same = answers.setdefault(tuple(sorted(example.inputs.items())), example)
        if same is not example:
            alike = same.answer == answer
            found["the inputs are those of another example", False].append(name)
            if not alike:
                found["the same inputs have another answer", False].append(name)
    return found


def _sound(example: Example) -> bool:
    try:
        check_spans(example.answer.spans, length=len(example.note), where="")
        check_relations(example.answer.relations, example.answer.spans, where="")
    except InputError:
        return False
    return True


def _labels(example: Example) -> set[str]:
    answer = example.answer
    classes = {answer.label} if answer.label is not None and not example.choices else set()
    # Spans of an example with a text or a class are where its answer stands, not answers.
    spans = {span.label for span in answer.spans} if answer.text is None and answer.label is None else set()
    return classes | spans


def _between(parts: Mapping[str, Sequence[Example]]) -> list[Finding]:
    findings = []
    names = list(parts)
    for place, second in enumerate(names):
        for first in names[:place]:
            shared = overlap(parts[first], parts[second])
            ids = tuple(shared.examples[:SHOWN])
            for what, count, fault in (
                (f"patients or documents are also in {first}", shared.groups, True),
                (f"the note is also in {first}", shared.exact, False),
                (f"the note but for case and blanks is also in {first}", shared.normalised - shared.exact, False),
            ):
                if count:
                    findings.append(Finding(second, what, count, ids, fault))
    return findings
