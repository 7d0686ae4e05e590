"""How well the embedded model follows instructions it has not seen: teacher-forced exact match per skill."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from clinprompt.backbones.embedded.corpus import Conversation, Role, collate, encode
from clinprompt.backbones.embedded.skills import draw_turn
from clinprompt.data.readers.synthetic.note import draw_kind, draw_patient, write_note
from clinprompt.data.readers.synthetic.style import SITES
from clinprompt.errors import InputError


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """Share (0 to 1) of ``n`` answers whose every token is the most likely one."""

    share: float
    n: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What is asked for: a site, the share (0 to 1) of reserved terms, and where the instruction stands."""

    site: str
    reserved: float
    instruction_first: bool

    def __str__(self) -> str:
        terms = "half of the terms reserved" if self.reserved else "source terms"
        return f"site {self.site}, {terms}, instruction {'before' if self.instruction_first else 'after'} the note"


SETTINGS = tuple(
    Setting(site, reserved, first) for site, reserved in (("A", 0.0), ("B", 0.0), ("B", 0.5)) for first in (False, True)
)
"""All that :func:`examine` asks for."""


def examine(folder: Path, *, n: int, seed: int = 5) -> Iterator[tuple[Setting, dict[str, ExactMatch]]]:
    """Instruction following of the model in a folder, in each of :data:`SETTINGS`, with ``n`` items each.

    Raises :class:`InputError` for a folder that :func:`clinprompt.backbones.embedded.pretrain.pretrain` did not write.
    """
    if not all((folder / name).is_file() for name in ("config.json", "model.safetensors", "clinprompt.json")):
        raise InputError(
            "this is no folder of a pretrained embedded backbone",
            where=str(folder),
            fix="name a folder that `clinprompt backbone pretrain` has finished",
        )
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for setting in SETTINGS:
        yield (
            setting,
            instruction_following(
                model,
                tokenizer,
                site=setting.site,
                instruction_first=setting.instruction_first,
                n=n,
                seed=seed,
                reserved=setting.reserved,
            ),
        )


def held_out(*, site: str, instruction_first: bool, n: int, seed: int, reserved: float) -> list[Conversation]:
    """Notes of one site with one random instruction each."""
    rng = random.Random(f"held-out {seed} {site}")
    conversations = []
    for _ in range(n):
        note = write_note(
            rng,
            id="held-out",
            patient=draw_patient(rng, id="held-out"),
            style=SITES[site],
            kind=draw_kind(rng),
            reserved=reserved,
        )
        conversations.append(Conversation(note, (draw_turn(note, rng),), instruction_first))
    return conversations


@torch.no_grad()
def instruction_following(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    site: str = "A",
    instruction_first: bool = False,
    n: int = 300,
    seed: int = 5,
    reserved: float | None = None,
    rows: int = 50,
) -> dict[str, ExactMatch]:
    """Exact match per kind of skill and over ``all``; ``reserved`` is 0 at site A and one half at site B."""
    share = (0.5 if site == "B" else 0.0) if reserved is None else reserved
    conversations = held_out(site=site, instruction_first=instruction_first, n=n, seed=seed, reserved=share)
    sequences = encode(conversations, tokenizer)
    hits: dict[str, list[bool]] = defaultdict(list)
    for start in range(0, n, rows):
        chunk = sequences[start : start + rows]
        ids, roles = (torch.from_numpy(part) for part in collate(chunk, pad=tokenizer.pad_token_id))
        guesses = model(input_ids=ids[:, :-1]).logits.argmax(-1)  # [B, T-1]
        asked = roles[:, 1:] >= Role.answer
        right = ((guesses == ids[:, 1:]) | ~asked).all(dim=1).tolist()
        for conversation, hit in zip(conversations[start : start + rows], right, strict=True):
            hits[conversation.turns[0].kind].append(hit)
            hits["all"].append(hit)
    return {kind: ExactMatch(sum(found) / len(found), len(found)) for kind, found in sorted(hits.items())}
