"""A corpus without parts divided by patient or document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from clinprompt.data.chance import draw_number
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example, Split

Item = TypeVar("Item", Document, Example)


def split_by_group(items: Iterable[Item], *, dev: float, test: float, seed: int) -> dict[Split, list[Item]]:
    """Train, dev and test, no group in two of them; examples get their ``split``.

    Each group's part depends on its name and the seed alone, so it stays when documents are added; ``dev``
    and ``test`` are therefore expected shares of the groups. Raises :class:`InputError` when a part that
    was asked for would be empty, and names a seed with which it is not.
    """
    parts: dict[Split, list[Item]] = {part: [] for part in Split}
    for part, item in divided(items, dev=dev, test=test, seed=seed):
        parts[part].append(item)
    return parts


def divided(items: Iterable[Item], *, dev: float, test: float, seed: int) -> Iterator[tuple[Split, Item]]:
    """Each item with its part as :func:`split_by_group` gives it, one by one; empty parts are refused at the end."""
    if min(dev, test) < 0 or dev + test >= 1:
        raise InputError(f"the shares are dev {dev}, test {test}", allowed="at least 0, together less than 1")
    empty = _needed(dev, test)
    groups: set[str] = set()
    for item in items:
        part = part_of(item.group, dev=dev, test=test, seed=seed)
        if empty:  # the groups are named only to say which seed would fill all parts
            groups.add(item.group)
            empty.discard(part)
        yield part, replace(item, split=part) if isinstance(item, Example) else item
    if empty:
        _refuse_empty(empty, sorted(groups), dev=dev, test=test, seed=seed)


def part_of(group: str, *, dev: float, test: float, seed: int) -> Split:
    """The part of one group."""
    number = draw_number("split", seed, group)
    if number < test:
        return Split.test
    return Split.dev if number < test + dev else Split.train


def _needed(dev: float, test: float) -> set[Split]:
    return {Split.train, *([Split.dev] if dev else []), *([Split.test] if test else [])}


def _refuse_empty(empty: set[Split], groups: list[str], *, dev: float, test: float, seed: int) -> None:
    def missing(number: int) -> set[Split]:
        return _needed(dev, test) - {part_of(group, dev=dev, test=test, seed=number) for group in groups}

    better = next((number for number in range(seed + 1, seed + 1000) if not missing(number)), None)
    raise InputError(
        f"with seed {seed} the {len(groups)} groups leave {' and '.join(sorted(empty))} empty",
        fix=f"use seed {better}" if better is not None else "give larger shares, more documents, or the parts yourself",
    )
