"""Question and text read apart in the first layers of an encoder, so that a text is read once for all questions.

In an encoder every token sees every other one, so nothing of a text is the same for two questions. Where both are read
apart at first, as two texts, and together in the layers above (DeFormer, Cao et al. 2020, arXiv 2005.00697), the states
of a text at the border are the same for every question and, while the weights are frozen, for every prompt and task.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from clinprompt.backbones.encoder_batch import EncoderBatch, parts_of
from clinprompt.backbones.protocol import Placement, PromptVectors, ReadingRow
from clinprompt.backbones.state_store import content_key

if TYPE_CHECKING:
    from clinprompt.backbones.encoder_network import EncoderNetwork
    from clinprompt.backbones.note_cache import Context, NoteCache


def layers_apart(n_layers: int) -> int:
    """How many layers read question and text apart: two thirds, so that a question costs a third of the layers.

    >>> layers_apart(6), layers_apart(12), layers_apart(24)
    (4, 8, 16)
    """
    return 2 * n_layers // 3


class _Reached(Exception):
    """Not a fault: the layers above are not wanted."""

    def __init__(self, states: Tensor) -> None:
        self.states = states


def states_below(
    backbone: EncoderNetwork, rows: Sequence[ReadingRow], prompts: PromptVectors, *, at: int
) -> list[Tensor]:
    """What layer ``at`` takes in ``[T, H]`` for each of ``rows``, its prompt with it; no layer above is run."""
    batch = backbone.batch(rows, prompts)
    embeds, placed = backbone.laid(batch, prompts)

    def change(layer: int, states: Tensor) -> Tensor:
        states = placed(layer, states)
        if layer == at:
            raise _Reached(states)
        return states

    try:
        backbone.run(batch, embeds, change)
    except _Reached as reached:
        states = reached.states
    return [one[:length].clone() for one, length in zip(states, batch.mask.sum(1).tolist(), strict=True)]


def text_states(backbone: EncoderNetwork, texts: Sequence[Context], *, at: int) -> list[Tensor]:
    """What layer ``at`` takes in of texts read alone, as token ids behind the special tokens that begin a row."""
    lead, types = len(backbone.layout.before), backbone.layout.text_types
    kinds = backbone.layout.special_types[0]
    rows = [
        ReadingRow("", text, (*kinds, *[types[1]] * (len(text) - lead)), first=len(text), last=len(text), places=())
        for text in texts
    ]
    none = torch.zeros(1, 0, backbone.hidden_size, device=backbone.device)
    return states_below(backbone, rows, PromptVectors(none, Placement.apart, owner=(0,) * len(rows)), at=at)


def joined(
    backbone: EncoderNetwork, rows: Sequence[ReadingRow], prompts: PromptVectors, *, at: int, notes: NoteCache | None
) -> Tensor:
    """What layer ``at`` takes in ``[B, T, H]``: each different question with its prompt, and each different text, once.

    ``notes`` keeps texts, and where nothing trains questions, for later batches.
    """
    lead = len(backbone.layout.before)
    texts = [_text(backbone, row) for row in rows]
    distinct = list(dict.fromkeys(texts))
    read = text_states(backbone, distinct, at=at) if notes is None else notes.states(distinct)
    of_text = dict(zip(distinct, read, strict=True))
    kept = None if torch.is_grad_enabled() else notes
    asked = question_states(backbone, rows, prompts, at=at, notes=kept)
    halves = [torch.cat([question, of_text[text][lead:]]) for question, text in zip(asked, texts, strict=True)]
    return pad_sequence(halves, batch_first=True)


def question_states(
    backbone: EncoderNetwork, rows: Sequence[ReadingRow], prompts: PromptVectors, *, at: int, notes: NoteCache | None
) -> list[Tensor]:
    """What layer ``at`` takes in of each row's question and prompt ``[T, H]``; equal ones are run once."""
    owners = prompts.owners(len(rows))
    asked = [(owner, row.tokens[: row.first]) for owner, row in zip(owners, rows, strict=True)]
    keys: dict[Hashable, str] = {}
    found: dict[Hashable, Tensor] = {}
    if notes is not None:
        for owner, tokens in dict.fromkeys(asked):
            own = prompts.vectors[owner, ..., : prompts.length(owner), :]
            keys[owner, tokens] = content_key(f"{notes.identity}, question {tokens}", own)
            if (kept := notes.store.get(keys[owner, tokens])) is not None:
                found[owner, tokens] = kept
    missing = {key: b for b, key in enumerate(asked) if key not in found}
    if missing:
        halves = [_question(rows[b]) for b in missing.values()]
        chosen = replace(prompts, owner=tuple(owners[b] for b in missing.values()))
        for key, states in zip(missing, states_below(backbone, halves, chosen, at=at), strict=True):
            found[key] = states
            if notes is not None:
                notes.store.put(keys[key], states)
    return [found[key] for key in asked]


@torch.no_grad()
def read_ahead(
    backbone: EncoderNetwork, rows: Sequence[ReadingRow], prompts: PromptVectors, notes: NoteCache, *, tokens: int
) -> None:
    """Keep the different questions and texts of many rows, run at most ``tokens`` together."""
    border, owners = layers_apart(backbone.n_layers), prompts.owners(len(rows))
    asked = {(owner, row.tokens[: row.first]): b for b, (owner, row) in enumerate(zip(owners, rows, strict=True))}
    different = list(asked.values())
    for part in parts_of([rows[b].first + prompts.length(owners[b]) for b in different], tokens):
        chosen = replace(prompts, owner=tuple(owners[different[i]] for i in part))
        question_states(backbone, [rows[different[i]] for i in part], chosen, at=border, notes=notes)
    texts = list(dict.fromkeys(_text(backbone, row) for row in rows))
    for part in parts_of([len(text) for text in texts], tokens):
        notes.states([texts[i] for i in part])


def _text(backbone: EncoderNetwork, row: ReadingRow) -> Context:
    """The row's text as one that is read alone."""
    return backbone.layout.before + row.tokens[row.first :]


def _question(row: ReadingRow) -> ReadingRow:
    """The row as far as its text."""
    return replace(row, tokens=row.tokens[: row.first], segments=row.segments[: row.first], last=row.first, places=())


@contextmanager
def skipped(layers: Sequence[nn.Module], *, tupled: bool) -> Iterator[None]:
    """For the length of a ``with``, these layers give on what they take in."""

    def passed(hidden_states: Tensor, *_: Any, **__: Any) -> Any:
        return (hidden_states, None) if tupled else hidden_states

    for layer in layers:
        layer.forward = passed
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def gives_tuples(backbone: EncoderNetwork) -> bool:
    """Whether a layer of this network gives a tuple and no tensor."""
    found: list[bool] = []
    first = backbone.layers[0]
    hook = first.register_forward_hook(lambda module, args, output: found.append(isinstance(output, tuple)))
    try:
        text_states(backbone, [backbone.layout.before + backbone.layout.after], at=1)
    finally:
        hook.remove()
    return found[0]


def run(
    backbone: EncoderNetwork,
    rows: Sequence[ReadingRow],
    prompts: PromptVectors,
    batch: EncoderBatch,
    *,
    hidden_layers: Sequence[int],
    notes: NoteCache | None,
) -> tuple[Tensor, Callable[[int], Tensor]]:
    """The last states ``[B, T, H]`` of rows that ``batch`` lays out, and what finds those of a layer."""
    border = layers_apart(backbone.n_layers)
    joint = joined(backbone, rows, prompts, at=border, notes=notes)
    _, placed = backbone.laid(batch, prompts)

    def change(layer: int, states: Tensor) -> Tensor:
        if layer < border:
            return states
        return joint if layer == border else placed(layer, states)

    with skipped(backbone.layers[:border], tupled=border > 0 and backbone.tupled):
        result = backbone.run(batch, torch.zeros_like(joint), change, hidden=bool(hidden_layers))

    def of_layer(layer: int) -> Tensor:
        layer %= backbone.n_layers + 1
        if layer > border:
            return result.hidden_states[layer]
        return joint if layer == border else joined(backbone, rows, prompts, at=layer, notes=None)

    return result.last_hidden_state, of_layer
