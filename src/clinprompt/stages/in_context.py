"""Hard few-shot prompts: the training examples of a cell that stand, with their answers, before every note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from clinprompt.data.fewshot import draw
from clinprompt.data.store import write_examples
from clinprompt.errors import InputError
from clinprompt.schema.example import Example
from clinprompt.stages.adapted import SHOWN, Adapted, Plan
from clinprompt.stages.atomic import write_text
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.methods import InContext
from clinprompt.stages.opened import Opened
from clinprompt.stages.run_folder import RunFolder
from clinprompt.tasks.formulations.generative import work_through
from clinprompt.training.seeds import derive

FILE = "examples.parquet"


def show_examples(settings: AdaptSettings, plans: Sequence[Plan], *, opened: Opened, run: RunFolder) -> list[Adapted]:
    """Choose and write the examples of all cells; a cell without any is the bare instruction.

    Raises :class:`InputError` for examples that are given all of the backbone's context.
    """
    method = settings.method
    assert isinstance(method, InContext)
    room = room_of(method, opened.backbone.max_tokens)
    done = []
    for plan in plans:
        cell = plan.cell
        chosen = shown_of(plan, opened, room=room)
        found = Adapted(
            task=cell.task.name,
            shots=plan.shots,
            draw=plan.draw,
            seed=settings.seed,
            method=method.kind,
            trainable=0,
            train_examples=len(cell.train),
            shown=len(chosen),
        )
        if len(chosen) < len(cell.train):
            run.log(f"{cell.name}: {len(chosen)} of {len(cell.train)} examples have room in {room} tokens")
        if chosen:
            found = replace(found, file=f"{cell.name}/{FILE}")
            if run.writes:
                write_shown(run.outputs / cell.name, chosen, text=_text(chosen, plan, opened))
        done.append(found)
    return done


def room_of(method: InContext, context: int) -> int:
    """How many tokens the examples may have on a backbone of this context, in tokens.

    Raises :class:`InputError` where nothing would be left for a note.
    """
    room = context // 2 if method.fit is None else method.fit
    if room >= context:
        raise InputError(
            f"examples of {room} tokens leave no room for a note",
            where="method.fit",
            allowed=f"1 to {context - 1}, of the {context} tokens that this backbone reads",
            fix="give less, or leave it out: then examples take at most half",
        )
    return room


def shown_of(plan: Plan, opened: Opened, *, room: int) -> tuple[Example, ...]:
    """The cell's examples that fit into ``room`` tokens together, in an order shuffled by the seed of the cell.

    They are taken as they were drawn, which shows each label early; one that is too long is passed over.
    """
    cell, taken, used = plan.cell, list[Example](), 0
    drawn = cell.train
    if plan.shots == "full":
        drawn = draw(drawn, k=len(drawn), seed=plan.prepared.draw_seed, draw=0)
    size = cache(lambda piece: len(opened.backbone.tokens(piece)))  # literals and instruction are the same in each
    for example in drawn:
        before = taken[:1]
        pieces = work_through([*before, example], cell.task, opened.template)
        own = pieces[len(work_through(before, cell.task, opened.template)) :]
        left = room - used
        # The short texts first: where these have no room the note, which takes by far the longest, is not read.
        for piece in sorted(own, key=lambda piece: len(piece.text)):
            left -= size(piece)
            if left < 0:
                break
        else:
            taken.append(example)
            used = room - left
    order = np.random.default_rng(derive(cell.seed, "shown", cell.name)).permutation(len(taken))
    return tuple(taken[i] for i in order)


def write_shown(folder: Path, examples: Sequence[Example], *, text: str) -> None:
    """Write the examples of a cell and their text into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / FILE, examples)
    write_text(folder / SHOWN, text)


def _text(examples: Sequence[Example], plan: Plan, opened: Opened) -> str:
    return "".join(piece.text for piece in work_through(examples, plan.cell.task, opened.template))
