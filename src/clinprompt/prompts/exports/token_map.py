"""Which tokens of a prompt-token checkpoint are which prompt, and where they stand: the file ``prompts.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from clinprompt.errors import InputError
from clinprompt.prompts.card import BackboneIdentity, PromptCard

FILE = "prompts.json"
MAP_FORMAT = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenPrompt(_Strict):
    """One prompt as tokens: their texts, the id of the first (the others follow it), how many stand before all."""

    name: str
    version: int
    first: int
    before: int
    tokens: tuple[str, ...]
    card: PromptCard

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens' ids in the order of the prompt's vectors."""
        return tuple(range(self.first, self.first + len(self.tokens)))

    def around(self, start: Sequence[int], context: Sequence[int], cue: Sequence[int]) -> list[int]:
        """The ids of a request: ``start`` (BOS), context and cue of a question, with this prompt where it belongs."""
        return [*self.ids[: self.before], *start, *context, *self.ids[self.before :], *cue]


class TokenMap(_Strict):
    """All prompts of a checkpoint and the backbone that it was made from."""

    format: int = MAP_FORMAT
    backbone: BackboneIdentity
    prompts: tuple[TokenPrompt, ...]

    def prompt(self, name: str) -> TokenPrompt:
        """The prompt named ``meds@3``, or the highest version of ``meds``; :class:`InputError` when there is none."""
        known = [one for one in self.prompts if name in (one.name, f"{one.name}@{one.version}")]
        if not known:
            allowed = ", ".join(f"{one.name}@{one.version}" for one in self.prompts)
            raise InputError(f"the checkpoint holds no prompt named {name!r}", allowed=allowed)
        return max(known, key=lambda one: one.version)


def token_names(name: str, length: int) -> tuple[str, ...]:
    """The texts of a prompt's tokens.

    >>> token_names("meds@1", 2)
    ('<meds@1:0>', '<meds@1:1>')
    """
    return tuple(f"<{name}:{place}>" for place in range(length))


def write_token_map(folder: Path, found: TokenMap) -> None:
    """Write the map into a checkpoint's folder."""
    (folder / FILE).write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_token_map(folder: Path) -> TokenMap:
    """Read the map of a checkpoint made by ``clinprompt export --to prompt-tokens``."""
    path = folder / FILE
    try:
        found = TokenMap.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"there is no {FILE} that can be read", where=str(folder),
            fix="give a checkpoint made by `clinprompt export --to prompt-tokens`",
        ) from error  # fmt: skip
    if found.format != MAP_FORMAT:
        raise InputError(f"{FILE} has format {found.format}", where=str(path), allowed=f"format {MAP_FORMAT}")
    return found
