"""MEDIQA 2019 RQE: does answering the short question (faq) answer the long one (chq)? XML pairs."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from clinprompt.data.faults import Faults
from clinprompt.data.fields import with_distinct_ids
from clinprompt.data.files import one_file, read_xml
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example


def read(path: Path | None) -> list[Example]:
    """Every pair: the consumer's question as ``note``, the other as ``hypothesis``, ``true`` or ``false``.

    Blanks around a question are layout of the XML and are left out; pairs about the same long question are
    one group. Raises one :class:`InputError` that lists all pairs that cannot be read.
    """
    file = one_file(path, reader="mediqa_rqe")
    faults, examples = Faults(), []
    groups: dict[str, str] = {}
    for place, pair in enumerate(read_xml(file).iter("pair"), 1):
        with faults.gathered():
            examples.append(_example(pair, groups, where=f"{file} pair {place}"))
    faults.raise_all()
    if not examples:
        raise InputError("the file has no <pair> elements", where=str(file))
    return with_distinct_ids(examples)


def _example(pair: Element, groups: dict[str, str], *, where: str) -> Example:
    name, value = pair.get("pid", ""), pair.get("value", "")
    # One published pair has an empty faq; a missing element is a fault, an empty one is kept as it is.
    note, hypothesis = (pair.findtext(tag) for tag in ("chq", "faq"))
    if not name or note is None or hypothesis is None:
        raise InputError("the pair misses its pid, chq or faq", where=where)
    if value not in ("true", "false"):
        raise InputError("the pair has no value", where=where, allowed="true, false")
    return Example(
        id=name,
        inputs={"note": note.strip(), "hypothesis": hypothesis.strip()},
        answer=Answer(label=value),
        group=groups.setdefault(note.strip(), name),
        document=name,
    )
