"""Findings as a server gives them, and servers with corrections on a tiny backbone, for tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clinprompt.serving.server import Server
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import Opened, open_backbone
from tests.made_backbones import tiny_folder
from tests.made_prompts import write_random_prompt
from tests.made_servers import served, write_bank

BANK = {"meds": ("medications", "suffix"), "doses": ("dose-of-drug", "suffix"), "line": ("patient-summary", "suffix"),
        "asserted": ("condition-assertions", "suffix")}  # fmt: skip
"""Names in the bank: task of the catalogue and placement; ``meds`` has two versions."""


def made_bank(folder: Path) -> tuple[Path, Opened]:
    """A bank of random prompts and its backbone, opened."""
    opened = open_backbone(BackboneSettings(path=str(tiny_folder(folder / "tiny"))))
    bank = write_bank(folder / "bank", opened, BANK)
    second = write_random_prompt(folder / "second.safetensors", opened, task="medications", placement="suffix", seed=9)
    add_prompts(open_bank(bank), [second], name="meds")
    return bank, opened


@contextmanager
def correcting(folder: Path, **changes) -> Iterator[tuple[Server, str]]:
    """A server that keeps corrections in ``folder/corrections``, and its address."""
    bank, opened = made_bank(folder)
    with served(bank, opened, corrections=folder / "corrections", **changes) as running:
        yield running


def finding(prompt: str, note: str, spans=(), relations=(), *, kind: str = "entities", answer=None, **report) -> dict:
    """The findings of one task; spans are ``(label, *fragments)`` or ``(label, *fragments, {attribute: value})``."""
    made = []
    for n, (label, *places) in enumerate(spans, 1):
        said = places.pop() if isinstance(places[-1], dict) else {}
        text = " ".join(note[start:end] for start, end in places)
        made.append({"id": f"T{n}", "label": label, "fragments": places, "text": text, "attributes": said,
                     "ambiguous": False, "score": 0.9})  # fmt: skip
    counts = dict.fromkeys(("items", "unreadable", "unlocated", "ambiguous", "truncated", "repeated"), 0)
    links = [
        {"id": f"R{n}", "label": label, "head": head, "tail": tail, "score": 0.8}
        for n, (label, head, tail) in enumerate(relations, 1)
    ]
    return {
        "task": prompt, "prompt": prompt, "kind": kind, "spans": made, "relations": links, "answer": answer,
        "score": 0.7, "report": {**counts, **{k: v for k, v in report.items() if k in counts}},
        "windows": report.get("windows", 1), "unit": "code points",
        "provenance": {"backbone": "da34", "clinprompt": "0.1.0", "sha256": "ab" * 32},
    }  # fmt: skip
