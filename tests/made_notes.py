"""Small annotated notes in brat form, every word of them ours."""

from __future__ import annotations

from pathlib import Path

CANARY = "Zyxwvutine"
"""A word that stands in every note: where it appears, note text has leaked."""

DRUGS = ("aspirin", "warfarin", "insulin", "digoxin")


def note(number: int, *, word: str = CANARY) -> tuple[str, str]:
    """Text and brat annotation of one note: two drugs with their doses, each dose linked to its drug."""
    text, lines = f"Seen by Dr {word}.\r\n", []
    for place in (0, 1):
        drug, dose = DRUGS[(number + place) % len(DRUGS)], f"{5 * (number + 1 + place)} mg"
        for kind, words in (("Drug", drug), ("Dose", dose)):
            lines.append(f"T{len(lines) + 1}\t{kind} {len(text)} {len(text) + len(words)}\t{words}")
            text += words + " "
        text = text[:-1] + ".\n"
    links = ["R1\tDose-Of Arg1:T2 Arg2:T1", "R2\tDose-Of Arg1:T4 Arg2:T3"]
    return text, "".join(f"{line}\n" for line in (*lines, *links))


def write_notes(folder: Path, count: int = 12, *, annotated: bool = True) -> Path:
    """Write ``count`` notes, with ``.ann`` files when ``annotated``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text, annotations = note(number)
        (folder / f"n{number}.txt").write_bytes(text.encode())
        if annotated:
            (folder / f"n{number}.ann").write_text(annotations)
    return folder
