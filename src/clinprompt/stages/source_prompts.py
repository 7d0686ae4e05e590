"""The source tasks' own prompts, the teachers, as what a target begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import SoftPrompt, read_card
from clinprompt.stages.opened import Opened
from clinprompt.stages.teach import load_teachers


@dataclass(frozen=True, slots=True)
class Teachers:
    """Prompts ``[K, P, H]`` with the names of their K tasks, their placement, and the mean of their ``heads``.

    They are ``[K, L, P, H]`` with vectors in every layer. ``heads_of`` are the scorers of each, by name of its task.
    """

    names: tuple[str, ...]
    vectors: Float[Tensor, "K *L P H"]
    placement: str
    heads: Mapping[str, Tensor]
    heads_of: Mapping[str, Mapping[str, Tensor]]

    @property
    def length(self) -> int:
        """How many vectors each has, in every layer that has some."""
        return self.vectors.shape[-2]

    @property
    def layered(self) -> bool:
        """Whether they have vectors in every layer."""
        return self.vectors.ndim == 4


def teachers_of(run: Path, opened: Opened) -> Teachers:
    """The teachers that a run of `clinprompt teach` made, in the order of their names.

    They are checked against the backbone and the template. Raises :class:`InputError` for anything but such a run.
    """
    names = _names(run)
    if not names or not (run / "done.json").exists():
        raise InputError(
            "this is not a finished run of `clinprompt teach`",
            where=str(run),
            fix="give `--teachers` the run that the command names when it has ended",
        )
    found = load_teachers(run / "outputs", names, opened)
    return Teachers(
        tuple(names),
        torch.stack([teacher.vectors for teacher in found]),
        found[0].card.placement,
        mean_heads(found),
        {name: teacher.heads for name, teacher in zip(names, found, strict=True)},
    )


def source_names(*, metaprompt: Path | None, teachers: Path | None) -> tuple[str, ...]:
    """The source tasks that a metaprompt file or a run of teachers was made of, by their names.

    Raises :class:`InputError` for a file that is no metaprompt.
    """
    return tuple(_names(teachers) if teachers else read_card(metaprompt).tasks if metaprompt else ())


def _names(run: Path) -> list[str]:
    return sorted(path.stem for path in (run / "outputs").glob("*.safetensors"))


def mean_heads(teachers: Sequence[SoftPrompt]) -> dict[str, Tensor]:
    """The mean of the teachers' scorers (encoders), which all began alike; none of decoders."""
    return {name: torch.stack([one.heads[name] for one in teachers]).mean(dim=0) for name in teachers[0].heads}
