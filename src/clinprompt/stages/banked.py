"""Prompts of a bank where a stage takes the path of a prompt file, and files that become prompts of a bank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.banked import Banked
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import read_card
from clinprompt.prompts.signature import read_key
from clinprompt.training.method import method


def prompt_path(place: Path, *, key: Path | None = None) -> Path:
    """The file of a prompt given as a path or as ``BANK:NAME`` or ``BANK:NAME@VERSION``; other paths stay as they are.

    A file of a bank is checked against the bank's manifest, and that against its signature when there is a ``key``
    file; it never changes, so whoever opens it later has the version that was named. Raises :class:`InputError` for
    an unknown name and a changed file, and for a plain path when there is a key.
    """
    folder, colon, reference = str(place).rpartition(":")
    if place.exists() or not colon or not Path(folder).is_dir():
        if key is not None:
            raise InputError(
                "a prompt file outside a bank has no signature", where=str(place), allowed="BANK:NAME[@VERSION]"
            )
        return place
    found, _ = open_bank(Path(folder), key=key).content(reference)
    return found.path


def open_bank(folder: Path, *, key: Path | None = None) -> PromptBank:
    """The bank in a folder, with the key in a file."""
    return PromptBank(folder, key=read_key(key) if key else None)


def add_prompts(bank: PromptBank, files: Sequence[Path], *, name: str = "") -> list[Banked]:
    """Add prompt files to a bank as :meth:`PromptBank.add` does; those that are of no use alone are refused."""
    _check(files)
    return bank.add(files, name=name)


def replace_prompt(bank: PromptBank, name: str, file: Path) -> Banked:
    """Add a prompt file as the promoted version of a name as :meth:`PromptBank.replace` does."""
    _check([file])
    return bank.replace(name, file)


def check_alone(card: PromptCard, *, where: str) -> None:
    """Raise :class:`InputError` for a prompt that belongs to weights which were trained with it."""
    if method(card.method).weights != "frozen":
        raise InputError(
            f"this belongs to weights that were trained with it ({card.method}) and is of no use alone",
            where=where,
            fix="give its run alone to `clinprompt predict` or `evaluate`, or adapt with the backbone frozen",
        )


def _check(files: Sequence[Path]) -> None:
    for file in files:
        check_alone(read_card(file), where=str(file))
