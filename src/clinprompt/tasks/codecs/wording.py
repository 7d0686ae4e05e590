"""The words that stand for labels, looked up forgivingly."""

from __future__ import annotations

from collections.abc import Iterable

from clinprompt.tasks.task import Task


class Wording:
    """Words to label names for some of a task's labels: exactly, else in any case, blanks and full stop.

    ``task`` gives the words of a name; without one the names are the words. Words that two labels share only after
    this loosening stand for neither.
    """

    def __init__(self, names: Iterable[str], task: Task | None = None) -> None:
        self._exact: dict[str, str] = {}
        self._loose: dict[str, str | None] = {}
        for name in dict.fromkeys(names):
            words = task.words(name) if task else name
            self._exact.setdefault(words, name)
            self._loose[_loosened(words)] = None if _loosened(words) in self._loose else name

    def label(self, words: str) -> str | None:
        """The label that these words stand for, ``None`` when they stand for none."""
        for exact in (words, words.strip()):
            if exact in self._exact:
                return self._exact[exact]
        return self._loose.get(_loosened(words))


def _loosened(words: str) -> str:
    return " ".join(words.casefold().split()).rstrip(".")
