"""Evidence Inference: did an outcome of a trial rise, fall or stay, by the article? CSV tables and article texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import numbered_lines, read_text
from clinprompt.data.passages import located, stretch
from clinprompt.data.tables import rows_of
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example

LABELS = {
    "significantly increased": "1",
    "significantly increase": "1",
    "significantly decreased": "-1",
    "no significant difference": "0",
}
"""The label strings of the release (one class has two spellings) with their codes."""

PARTS = {"train": "train", "dev": "validation", "test": "test"}
_NO_LABEL = "invalid prompt"
_NAMES = {"1": "significantly increased", "-1": "significantly decreased", "0": "no significant difference"}
_COLUMNS = ("PromptID", "PMCID", "Valid Label", "Label", "Label Code", "Annotations", "Evidence Start", "Evidence End")


def read(
    path: Path | None,
    *,
    part: str = "all",
    annotations: str = "v2_annotations.csv",
    splits: str = "ev2",
    passage: int = 0,
    absent: bool = False,
) -> list[Example]:
    """One :class:`Example` per prompt of the folder ``annotations`` of a release: article, question, class.

    The class of a prompt is that of most of its rows with ``Valid Label`` true; where as many say something
    else, that of the first such row. A prompt without such a row has no gold class and is left out. How many
    rows a prompt has, are not valid, and say something else is in the metadata, with the places of the
    evidence in the article (``start-end``). ``part`` is train, dev or test by the lists of the folder
    ``splits`` whose names begin with the option ``splits``. The group is the article. With ``passage`` the
    note is the stretch of at most so many characters around the first evidence of the class: an easier task,
    to be named beside its scores. Prompts about articles that are not in ``txt_files`` are faults, or left
    out when ``absent`` is true.

    Raises one :class:`InputError` that lists all rows that cannot be read.
    """
    if part != "all" and part not in PARTS:
        raise InputError(f"the option part has the value {part!r}", allowed=", ".join(("all", *PARTS)))
    if path is None or not Path(path).is_dir():
        raise InputError("the reader 'evidence_inference' needs the folder `annotations`", where=str(path or ""))
    root = Path(path)
    wanted = _articles(root, part, splits)
    rows = _rows(_file(root, annotations), wanted)
    faults, examples, texts = Faults(), [], {}
    for number, prompt in rows_of(_file(root, "prompts_merged.csv")):
        where = f"{root / 'prompts_merged.csv'} line {number}"
        with faults.gathered():
            name = _cell(prompt, "PromptID", where)
            if name not in rows:
                continue
            article = _cell(prompt, "PMCID", where)
            if article not in texts:
                texts[article] = None  # so that a missing text is one fault, not one per prompt
                texts[article] = _text(root / "txt_files" / f"PMC{article}.txt", absent=absent)
            text = texts[article]
            if text is not None and any(row["valid"] for row in rows[name]):
                examples.append(_example(prompt, rows[name], text, passage=passage, where=where))
    faults.raise_all()
    return examples


def _file(root: Path, name: str) -> Path:
    if not (root / name).is_file():
        raise InputError("the folder misses a table", where=str(root / name), fix="give the folder `annotations`")
    return root / name


def _text(file: Path, *, absent: bool) -> str | None:
    if file.is_file():
        return read_text(file)
    if absent:
        return None
    raise InputError("the article's text is not there", where=str(file), fix="set absent: true to leave it out")


def _articles(root: Path, part: str, splits: str) -> set[str] | None:
    if part == "all":
        return None
    file = _file(root, f"splits/{splits}_{PARTS[part]}_article_ids.txt")
    return {line.strip().removeprefix("PMC") for _, line in numbered_lines(file) if line.strip()}


def _rows(file: Path, wanted: set[str] | None) -> dict[str, list[dict[str, str]]]:
    """The rows of each prompt with the class in ``code`` and whether it counts in ``valid`` (empty: no)."""
    faults, by_prompt = Faults(), {}
    for number, row in rows_of(file):
        where = f"{file} line {number}"
        with faults.gathered():
            cells = {name: _cell(row, name, where) for name in _COLUMNS}
            if wanted is not None and cells["PMCID"] not in wanted:
                continue
            valid = cells["Valid Label"] in ("True", "1")
            if not valid and cells["Valid Label"] not in ("False", "0"):
                raise InputError("the column 'Valid Label' cannot be read", where=where, allowed="True, False")
            code = LABELS.get(cells["Label"].strip())
            if code is None and cells["Label"].strip() != _NO_LABEL:
                raise InputError("the label is not known", where=where, allowed=", ".join((*LABELS, _NO_LABEL)))
            if code is not None and cells["Label Code"] != code:
                raise InputError("the columns 'Label' and 'Label Code' do not agree", where=where)
            counts = valid and code is not None
            made = {**cells, "code": code or "", "valid": "yes" if counts else "", "where": where}
            by_prompt.setdefault(cells["PromptID"], []).append(made)
    faults.raise_all()
    return by_prompt


def _cell(row: dict[str, str], name: str, where: str) -> str:
    if name not in row:
        raise InputError(f"the table has no column {name!r}", where=where)
    return row[name]


def _example(prompt: dict[str, str], rows: list[dict[str, str]], text: str, *, passage: int, where: str) -> Example:
    outcome, intervention, comparator = (
        _cell(prompt, name, where).strip() for name in ("Outcome", "Intervention", "Comparator")
    )
    valid = [row for row in rows if row["valid"]]
    votes = Counter(row["code"] for row in valid)
    code = votes.most_common(1)[0][0]  # of equal counts, the one met first
    places = [(place, row["code"]) for row in valid if (place := _evidence(row, text)) is not None]
    start, end = 0, len(text)
    of_class = [place for place, said in places if said == code]
    if passage and of_class:
        start, end = stretch(text, of_class[0], longest=passage)
    elif passage:
        start, end = stretch(text, (0, min(1, len(text))), longest=passage)
    return Example(
        id=prompt["PromptID"],
        inputs={
            "note": text[start:end],
            "question": f"With respect to {outcome}, how does {intervention} compare with {comparator}?",
        },
        answer=Answer(label=_NAMES[code]),
        group=prompt["PMCID"],
        document=prompt["PMCID"],
        offset=start,
        metadata={
            "rows": str(len(rows)),
            "rows not valid": str(len(rows) - len(valid)),
            "rows of another class": str(len(valid) - votes[code]),
            "evidence": " ".join(f"{first}-{last}" for first, last in sorted({place for place, _ in places})),
        },
    )


def _evidence(row: dict[str, str], text: str) -> tuple[int, int] | None:
    """Where the evidence of a row stands; ``None`` for the release's -1, which means not found."""
    words, where = row["Annotations"], row["where"]
    try:
        start = int(row["Evidence Start"])
    except ValueError:
        raise InputError("the column 'Evidence Start' holds no number", where=where) from None
    if start < 0 or not words:
        return None
    found = located(text, words, start)
    if found is None:
        raise InputError(f"the words of the evidence are not the article at {start}", where=where)
    return found, found + len(words)
