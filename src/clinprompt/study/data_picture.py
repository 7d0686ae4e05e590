"""A picture of a prepared task: how long its notes are, and how often each label is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clinprompt.data.profile import Profile
from clinprompt.errors import InputError
from clinprompt.study.figures import COLOURS

FORMATS = (".png", ".svg", ".pdf")
MOST_LABELS = 20
"""Labels shown at most, the most frequent ones."""


def draw_profiles(profiles: Mapping[str, Profile], path: Path, *, title: str, unit: str) -> int:
    """Write the picture of the parts' profiles; returns how many labels it has no room for.

    ``unit`` is what lengths count, for the axis. Raises :class:`InputError` for another kind of file.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError("this is no kind of picture", where=str(path), allowed=", ".join(FORMATS))
    from matplotlib.figure import Figure

    totals: dict[str, int] = {}
    for part in profiles.values():
        for label, count in part.labels.items():
            totals[label] = totals.get(label, 0) + count
    shown = sorted(totals, key=lambda label: (-totals[label], label))[:MOST_LABELS]
    figure = Figure(figsize=(10, max(3.0, 1.5 + 0.22 * len(shown))), layout="constrained")
    figure.suptitle(title)
    lengths, labels = figure.subplots(1, 2)
    longest = max((part.notes[-1] for part in profiles.values() if part.notes), default=1)
    for colour, (name, part) in zip(COLOURS, profiles.items(), strict=False):
        shares = [1 / part.examples] * part.examples if part.examples else []
        lengths.hist(part.notes, bins=30, range=(0, longest), weights=shares, histtype="step", color=colour, label=name)
    lengths.set(xlabel=f"length of a note ({unit})", ylabel="share of the examples")
    lengths.set_yticks([])
    lengths.legend()
    left = [0] * len(shown)
    for colour, (name, part) in zip(COLOURS, profiles.items(), strict=False):
        counts = [part.labels.get(label, 0) for label in shown]
        labels.barh(range(len(shown)), counts, left=left, color=colour, label=name)
        left = [so_far + count for so_far, count in zip(left, counts, strict=True)]
    labels.set_yticks(range(len(shown)), shown)
    labels.invert_yaxis()
    labels.set_xlabel("how often" if shown else "no labels")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return len(totals) - len(shown)
