"""A model card for each prompt of a study, in Markdown: what it is, what it rests on, how it scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import read_card
from clinprompt.stages.adapted import BESIDE, cell_key
from clinprompt.stages.atomic import write_text
from clinprompt.study.collection import PartResult
from clinprompt.study.expansion import slug
from clinprompt.study.group_table import ACROSS
from clinprompt.study.legend import DAGGER

OPEN = "To be filled by the authors."


def write_cards(folder: Path, found: PartResult) -> int:
    """Write a card per prompt of a part that is scored; returns how many."""
    if found.result is None:
        return 0
    leakage = {(line.method, line.target, line.shots): line.leakage for line in found.result.lines}
    count = 0
    for cell in found.result.cells:
        outputs = found.result.adapted.get((cell.method, cell.seed))
        file = cell.record.get("file", "")
        if outputs is None or not file.endswith(BESIDE) or cell.record.get("group") == ACROSS:
            continue
        target, shots = cell.record["task"], str(cell.record["shots"])
        key = cell_key(target, shots, cell.record["draw"]).replace("/", "-")
        path = folder / found.part.slug / slug(cell.method) / f"{key}-seed{cell.seed}.md"
        seen = leakage.get((cell.method, target, shots), 0)
        part = found.part.recipe.score.part
        write_text(path, card_text(read_card(outputs / file), cell.record, part=part, leakage=seen))
        count += 1
    return count


def card_text(card: PromptCard, record: Mapping[str, Any], *, part: str, leakage: int) -> str:
    """The card of one prompt with its scores on the scored part, ``leakage`` examples of which were seen before."""
    task = card.task
    lineage = card.lineage
    dagger, told = (DAGGER, f" {DAGGER}: {leakage} of the scored examples were seen before.") if leakage else ("", "")
    scores = [
        f"| {score['metric']} | {score['value']:.1f}{dagger} | {score['low']:.1f}–{score['high']:.1f} | {score['n']} |"
        for score in record["scores"]
    ]
    shots = "all training examples" if str(record["shots"]) == "full" else f"{record['shots']} training examples"
    facts = {
        "Backbone": f"{card.backbone.name} ({card.backbone.fingerprint}); the prompt works with no other",
        "Method": f"{card.method}, vectors: {card.size}, {card.placement}"
        + (f", rank {card.rank}" if card.rank else ""),
        "Trained numbers": f"{card.trainable:,}",
        "Template": f"{card.template} ({card.template_hash})",
        "Trained on": f"{shots}, draw {record['draw']}, seed {record['seed']}",
        "Learning rate": "–" if record.get("rate") is None else f"{record['rate']:g}",
        "Data": ", ".join(f"{name} ({digest})" for name, digest in lineage.data.items()),
        "Licences of the data": ", ".join(lineage.licences) or OPEN,
        "Source tasks": ", ".join(lineage.sources) or "none",
        "Run": lineage.run,
        "Made with": ", ".join(f"{name} {version}" for name, version in card.made_with.items()),
    }
    kind = (
        f"{task.kind.value}: labels {', '.join(task.labels)}"
        if task and task.labels
        else task.kind.value
        if task
        else ""
    )
    return "\n".join(
        [
            f"# {card.name}", "", "A soft prompt made by clinprompt.", "",
            "## What it does", "", f"- Task: {kind}", f"- Instruction: {task.instruction if task else ''}", "",
            "## What it is", "", *(f"- {name}: {value}" for name, value in facts.items()), "",
            "## Scores", "", f"On the {part} part, 95 % intervals over documents of this one run.{told}", "",
            "| metric | score | interval | n |", "|---|---|---|---|", *scores, "",
            f"Answers that could not be read: {record['report']['unreadable']}; "
            f"items not found in the note: {record['report']['unlocated']}.", "",
            "## Use", "", f"- Intended use: {OPEN}", f"- Population and site of the data: {OPEN}",
            "- Not for clinical use as it is: it has been judged on this data only.",
            f"- Ethics and approval: {OPEN}", "",
        ]
    )  # fmt: skip
