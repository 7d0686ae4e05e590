"""The items of TRIPOD-LLM, filled as far as a study knows.

Source: Gallifant et al., Nature Medicine 2025, doi 10.1038/s41591-024-03425-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.study.archive import Gap
from clinprompt.study.collection import PartResult
from clinprompt.study.leakage import examples_seen
from clinprompt.study.study_file import Study
from clinprompt.study.study_line import StudyLine

OPEN = "To be filled by the authors."
WORDING = "Sections and names of the items are in our words: check them against the published list."


@dataclass(frozen=True, slots=True)
class Item:
    """One of the 19 items: what the study knows of it, and whether the authors have something to add."""

    number: int
    section: str
    name: str
    known: str
    open: bool = True

    @property
    def text(self) -> str:
        """What the report prints."""
        return " ".join(filter(None, (self.known, OPEN if self.open else "")))


def tripod(study: Study, found: Sequence[PartResult], lines: Sequence[StudyLine], gaps: Sequence[Gap]) -> list[Item]:
    """The 19 items in their order; the words of the items are our own short names, not the checklist's text."""
    has = [one for one in found if one.result is not None]
    targets = {name: item for one in has if one.result for name, item in one.result.targets.items()}
    sources = {name: item for one in has if one.result for name, item in one.result.sources.items()}
    sizes = {line.target: (line.n, line.documents) for line in lines}
    tasks = ", ".join(f"{name} ({item.task.kind.value}, {item.task.metrics[0]})" for name, item in targets.items())
    licences = sorted({item.task.licence for item in (*targets.values(), *sources.values()) if item.task.licence})
    backbones = _several(line.backbone for line in lines)
    versions = _several(line.versions for line in lines)
    devices = _several(line.device for line in lines)
    seconds = sum(sum(record.seconds.values()) for one in has for record in one.records.values())
    leaks = examples_seen([line for one in has if one.result for line in one.result.leakage])
    shots = ", ".join(map(str, study.shots))
    methods = ", ".join(f"{name} ({method.kind})" for name, method in study.methods.items())
    readings = sum(bool(line.unreadable or line.unlocated) for line in lines)
    data = "; ".join(f"{name}: {n} scored examples of {documents} documents" for name, (n, documents) in sizes.items())
    words = sorted({item.task.instruction for item in targets.values()})
    missing = sum(len(one.missing) for one in found)
    decoding = study.score.decoding
    held = "held to" if decoding.grounded else "checked against"
    analysis = (
        f"Backbones: {backbones}. Shots {shots}, {study.draws} draw(s), seeds {', '.join(map(str, study.seeds))}. "
        f"Learning rates: {study.searched}, chosen on the development part. Scores with 95 % intervals from a "
        f"bootstrap over documents, with seeds and draws as further levels ({study.score.resamples:,} resamples); "
        "paired tests that exchange documents; Wilcoxon over targets with Holm's correction."
    )
    output = (
        f"Decoding {decoding.kind}, at most {study.score.answer_tokens} tokens, {held} the task's form; answers that "
        f"cannot be read count as wrong ({readings} of {len(lines)} lines have some)."
    )
    prompting = (
        f"{len(words)} instruction(s): {' / '.join(f'“{text}”' for text in words)}. "
        f"Prompt length {', '.join(map(str, study.lengths or (study.prompt.length,)))}, {study.prompt.placement}"
        f"{', in every layer' if study.prompt.layers == 'every' else ''}."
    )
    origin = (
        f"Targets: {tasks}. Sources: {', '.join(sources) or 'none made here'}. "
        f"Licences: {', '.join(licences) or 'not recorded'}. Origin, dates and people in the data:"
    )
    aligned = "The backbone is frozen except for methods that train weights. Alignment of the backbone itself:"
    open_science = (
        "Made with clinprompt (Apache-2.0); the configuration of each gang (a method with one seed on all its cells) "
        "lies beside this report. Funding, conflicts, protocol, availability of data:"
    )
    compute = f"{devices}; {seconds / 60:.1f} minutes of training and scoring recorded; {versions}."
    performance = (
        f"The tables of this report: {len(lines)} lines; {missing} cells without a result, {len(gaps)} gap(s)."
    )
    people = f"{data}. Leakage: {leaks} scored examples stand in training or pretraining text, whole or nearly."
    rows: list[tuple[str, str, str, bool]] = [
        ("Title", "Title", f"Name of the study: {study.name}.", True),
        ("Abstract", "Abstract", study.description, True),
        ("Introduction", "Background", "", True),
        ("Introduction", "Objectives", f"Compared: {methods}.", True),
        ("Methods", "Data", origin, True),
        ("Methods", "Analytical methods", analysis, False),
        ("Methods", "Output of the model", output, False),
        ("Methods", "Annotation", "Gold answers are those of the corpora.", True),
        ("Methods", "Prompting", prompting, False),
        ("Methods", "Summarisation", "Notes are not summarised before they are read.", False),
        ("Methods", "Instruction tuning or alignment", aligned, True),
        ("Methods", "Compute", compute, False),
        ("Methods", "Ethical approval", "", True),
        ("Methods", "Open science", open_science, True),
        ("Methods", "Public involvement", "", True),
        ("Results", "Participants", people, True),
        ("Results", "Performance", performance, False),
        ("Results", "Updating of the model", "None after the scores were known.", True),
        ("Discussion", "Interpretation, limitations, usability", "", True),
    ]
    return [Item(number, section, name, known, open_) for number, (section, name, known, open_) in enumerate(rows, 1)]


def tripod_text(items: Sequence[Item]) -> str:
    """The items as a Markdown table, to be completed."""
    rows = [f"| {item.number} | {item.section} | {item.name} | {item.text.replace('|', '/')} |" for item in items]
    return "\n".join(
        ["# TRIPOD-LLM", "", WORDING, "", "| item | section | what | known |", "|---|---|---|---|", *rows, ""]
    )


def _several(texts) -> str:  # type: ignore[no-untyped-def]
    return "; ".join(dict.fromkeys(filter(None, texts)))
