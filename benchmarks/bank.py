"""Listing a bank of prompts and opening each, against reading every prompt file.

    python -m benchmarks.bank [--only list] [--json]

A bank holds 1,000 prompts of 100 vectors, each with the card of a task of the catalogue and reference logits. *list*:
the names, versions and cards of all, by the bank's manifest, freshly opened each time, and by hashing every file and
reading its card, which must give the same cards. *open*: all prompts by name, each file hashed and compared with the
manifest and its card with the manifest's, and as plain files, which must give the same vectors. A server that opens
the bank computes the reference logits of every prompt besides, which is not in these figures: docs/guides/bank.md has
one for the embedded backbone.
Hardware: CPU, one core, a minute, 60 MB of disk. Nothing is computed: the dtype in a name means nothing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, aim, run
from benchmarks.timing import Step
from clinprompt.data.files import file_hash
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.card import BackboneIdentity, PromptCard, Reference
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, read_card, save_prompt
from clinprompt.tasks.catalog import load_task

BANK, FILES = "by the bank float32", "file by file float32"
PROMPTS, QUICK, VECTORS, HIDDEN = 1000, 20, 100, 128
MOST = 1.0
"""Seconds in which a bank of 1,000 prompts is listed with all cards."""


def cases(options: Options) -> Iterator[Case]:
    """Listing and opening, with all prompts."""
    count = QUICK if options.quick else PROMPTS
    folder = options.models / f"bank of {count} prompts"

    def listed() -> dict[str, torch.Tensor]:
        return _digests([one.card for one in PromptBank(folder).listed()])

    def read() -> dict[str, torch.Tensor]:
        files = _files(folder)
        hashes = {file_hash(file) for file in files}
        assert len(hashes) == count
        return _digests([read_card(file) for file in files])

    def opened() -> dict[str, torch.Tensor]:
        bank = PromptBank(folder)
        return {"vectors": torch.stack([bank.open(f"task-{number:04}").vectors for number in range(count)])}

    def loaded() -> dict[str, torch.Tensor]:
        return {"vectors": torch.stack([load_prompt(file).vectors for file in _files(folder)])}

    for name, ours, plain in (("list", listed, read), ("open", opened, loaded)):
        variants = {
            BANK: Variant(lambda ours=ours: _built(folder, count, ours), "float32", like=FILES),
            FILES: Variant(lambda plain=plain: _built(folder, count, plain), "float32"),
        }
        yield Case(
            f"{name}, {count} prompts",
            variants,
            unit="prompt",
            units=count,
            baselines={"file by file": (FILES,)},
            settings={"prompts": count, "vectors": VECTORS, "hidden": HIDDEN},
        )


def _built(folder: Path, count: int, step: Step) -> Step:
    if not folder.exists():
        names, files = ("medications", "impression"), []
        for number in range(count):
            card = PromptCard(
                name=f"task-{number:04}", method="mpt", placement="suffix", length=VECTORS, trainable=VECTORS * HIDDEN,
                backbone=BackboneIdentity(name="made", fingerprint="f" * 16, tokenizer="t" * 16, hidden=HIDDEN),
                template="markers", template_hash="0" * 16, task=load_task(names[number % 2]),
                reference=Reference(tokens=tuple(range(8)), with_prompt=(0.5,) * 8, without_prompt=(-0.5,) * 8),
            )  # fmt: skip
            files.append(folder.with_name("prompt files") / f"{number}.safetensors")
            vectors = torch.randn(VECTORS, HIDDEN, generator=torch.Generator().manual_seed(number))
            save_prompt(files[-1], SoftPrompt(vectors, card))
        PromptBank(folder).add(files)
    return step


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _digests(cards: Sequence[PromptCard]) -> dict[str, torch.Tensor]:
    text = "\n".join(card.model_dump_json() for card in cards)
    return {"cards": torch.tensor(list(hashlib.sha256(text.encode()).digest()))}


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Whether 1,000 prompts are listed quickly enough."""
    found = [line for line in lines if line["case"] == f"list, {PROMPTS} prompts" and line["variant"] == BANK]
    reached = found[0]["seconds"]["median"] if found else None
    return {"aims": [aim("seconds to list 1,000 prompts with their cards", most=MOST, reached=reached)]}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("bank", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
