"""Methods as rows of one table: what is prompted, what is trained. One loop trains them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clinprompt.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the method table.

    ``prompt``: ``none``, worked ``examples``, the question in full ``words`` (encoders), ``free`` vectors,
    ``decomposed`` (metaprompt ∘ factors), ``attended`` (free vectors and a weighted sum of the sources' prompts) or
    ``routed`` (a mixture of low-rank factors). ``weights`` of the backbone: ``frozen``, ``lora`` or ``all``.
    ``backbones``: the kind it is for.
    """

    name: str
    prompt: Literal["none", "examples", "words", "free", "decomposed", "attended", "routed"]
    weights: Literal["frozen", "lora", "all"]
    role: str
    backbones: Literal["any", "decoder", "encoder"] = "any"

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.prompt not in ("none", "examples", "words") or self.weights != "frozen"

    @property
    def gangs(self) -> bool:
        """Whether many members can share one frozen backbone."""
        return self.trains and self.weights == "frozen"


_ROWS = (
    Method("instruction", "none", "frozen", "zero-shot reference: the task's words, no training", "decoder"),
    Method("in-context", "examples", "frozen", "few-shot reference: examples before the note, no training", "decoder"),
    Method("prompt-tuning", "free", "frozen", "single-task baseline; how teachers are made"),
    Method("mpt", "decomposed", "frozen", "multitask prompt distillation and decomposition, the method of 2604.06650"),
    Method("spot", "free", "frozen", "prompt tuning from the best single source's prompt, after 2110.07904"),
    Method("attention", "attended", "frozen", "an own prompt and the sources' prompts by weight, after 2205.11961"),
    Method("routing", "routed", "frozen", "the sources' factors, or experts, by gates per segment, after 2505.09519"),
    Method("lora", "none", "lora", "low-rank weight updates, through peft"),
    Method("fine-tuning", "none", "all", "every weight trains"),
    Method("hard-prompt", "words", "all", "every weight, the question in full words: 2310.06239", "encoder"),
    Method("soft-prompt-unfrozen", "free", "all", "every weight and a soft prompt: 2310.06239", "encoder"),
)
METHODS: dict[str, Method] = {row.name: row for row in _ROWS}


def method(name: str) -> Method:
    """The row of this name; a misspelt one is answered with near matches."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
