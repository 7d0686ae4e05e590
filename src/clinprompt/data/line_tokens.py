"""Places in a text by line and token, as the i2b2 challenges write them: ``15:0`` is the first token of line 15."""

from __future__ import annotations

import re

from clinprompt.errors import InputError
from clinprompt.schema.document import Fragment

_TOKEN = re.compile(r"[^ \t\r\n]+")
_PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")


class LineTokens:
    """The tokens of a text: lines count from 1, tokens from 0, and blanks or tabs divide them.

    >>> LineTokens("No pain.\\nAspirin 81 mg").fragment("2:1", "2:2")
    (17, 22)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[list[Fragment]] = []
        begins = 0
        for line in text.split("\n"):
            self.lines.append([(begins + match.start(), begins + match.end()) for match in _TOKEN.finditer(line)])
            begins += len(line) + 1

    def fragment(self, first: str, last: str, *, where: str = "") -> Fragment:
        """From the beginning of the first token to the end of the last; :class:`InputError` for a place that is
        not there.
        """
        start, end = self._token(first, where=where)[0], self._token(last, where=where)[1]
        if start >= end:
            raise InputError(f"the place {first} {last} ends before it begins", where=where)
        return start, end

    def fragment_of(self, words: str, first: str, last: str, *, where: str = "") -> Fragment | None:
        """The same fragment, narrowed to ``words`` when the tokens have signs around them (``anticoagulation.``);
        ``None`` when the words are others. Large and small letters and blanks are not compared.
        """
        start, end = self.fragment(first, last, where=where)
        covered = self.text[start:end]
        pattern = r"[ \t\r\n]+".join(map(re.escape, _TOKEN.findall(words)))
        found = re.search(pattern, covered, re.IGNORECASE) if pattern else None
        if found is None or any(map(str.isalnum, covered[: found.start()] + covered[found.end() :])):
            return None
        return start + found.start(), start + found.end()

    def _token(self, place: str, *, where: str) -> Fragment:
        parts = _PLACE.fullmatch(place)
        if parts is None:
            raise InputError("the place of a mention cannot be read", where=where, allowed="line:token, such as 15:0")
        line, token = int(parts[1]), int(parts[2])
        if not 1 <= line <= len(self.lines) or token >= len(self.lines[line - 1]):
            raise InputError(f"the text has no token {place}", where=where)
        return self.lines[line - 1][token]
