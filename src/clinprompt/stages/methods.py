"""The methods that a person may choose, each with its sizes, and the budget that trains it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Settings(BaseModel):
    """Strict and frozen: an unknown field is an error, a loaded config never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(Settings):
    """How long and how fast to train. ``rates`` of prompts are multiples of the start prompt's RMS; left out, they are
    those of the method.

    With several ``rates`` each is tried and the one with the lowest dev loss is kept: every method of a comparison gets
    the same number of tries. ``tokens_per_forward`` bounds what is run at once (null: what a processor's caches hold,
    2,048 tokens of a decoder or 512 of an encoder, and 8,192 or 16,384 on an accelerator); a step's gradients are added
    up. ``keep`` ``best`` looks at the dev loss before the first step and every ``dev_every`` steps; after ``patience``
    looks in a row that found nothing better training ends (null: it takes all ``steps``). ``head_rate`` is the absolute
    rate of an encoder's span scorers, which every method trains.

    ``batch`` counts rows: examples of a decoder, questions of an encoder, of which an example has one per label and
    more. ``impossible`` keeps at most that many questions without an answer for each with one, in training rows only
    (null: all of them). ``folds`` judges ``rates`` by cross-validation in place of the dev part: by the mean loss over
    so many folds of the training examples, of each at most ``dev_limit``; then the best one trains on all of them.
    """

    steps: int = Field(200, ge=1)
    batch: int = Field(8, ge=1)
    rates: tuple[float, ...] = Field((0.3,), min_length=1)
    warmup: int = Field(10, ge=0)
    clip: float = Field(1.0, gt=0)
    keep: Literal["best", "last"] = "last"
    dev_every: int = Field(50, ge=1)
    dev_limit: int = Field(64, ge=1)
    patience: int | None = Field(None, ge=1)
    tokens_per_forward: int | None = Field(None, ge=64)
    head_rate: float = Field(1e-3, gt=0)
    impossible: float | None = Field(None, ge=0)
    folds: int | None = Field(None, ge=2)


class Trained(Settings):
    """A method that trains: a ``budget`` that names no ``rates`` has those of the method, not of prompts."""

    @field_validator("budget", check_fields=False)
    @classmethod
    def _rates_of_the_method(cls, budget: Budget) -> Budget:
        if "rates" in budget.model_fields_set:
            return budget
        rates = cls.model_fields["budget"].default.rates
        return Budget.model_construct(budget.model_fields_set, **(dict(budget) | {"rates": rates}))


class Instruction(Settings):
    """The task's words alone."""

    kind: Literal["instruction"] = "instruction"


class PromptTuning(Trained):
    """A free prompt per task, started from the task's words or from sampled vocabulary.

    ``placement`` and ``length`` are for comparisons: in place of those in the prompt's settings. An ``encoder`` (two
    layers, or an LSTM and two layers) makes the vectors while they train and is folded into them afterwards.
    ``layers`` ``every`` has vectors of their own in every layer (encoders only).
    """

    kind: Literal["prompt-tuning"] = "prompt-tuning"
    start: Literal["text", "vocabulary"] = "text"
    placement: Literal["prefix", "suffix", "both"] | None = None
    length: int | None = Field(None, ge=1, le=4096)
    encoder: Literal["none", "mlp", "lstm"] = "none"
    layers: Literal["input", "every"] = "input"
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _one_of_the_two(self) -> PromptTuning:
        if self.encoder != "none" and self.layers == "every":
            raise ValueError("an `encoder` makes the vectors of the input only; leave it out or set `layers: input`")
        return self


class Mpt(Trained):
    """The metaprompt times factors, started from the sources' mean, the best-matching source's, or neutral ones.

    Rates are multiples of each part's own RMS; the factors' are ``factor_share`` of the metaprompt's.
    """

    kind: Literal["mpt"] = "mpt"
    factors: Literal["mean", "select", "neutral"] = "mean"
    rank: int = Field(1, ge=1)
    train_metaprompt: bool = True
    factor_share: float = Field(0.3, gt=0)
    budget: Budget = Budget()


class Lora(Trained):
    """Low-rank updates; rates are absolute."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(8, ge=1)
    alpha: float = 16.0
    targets: str = "all-linear"
    budget: Budget = Budget(rates=(3e-3,))


class FineTuning(Trained):
    """Every weight; rates are absolute."""

    kind: Literal["fine-tuning"] = "fine-tuning"
    budget: Budget = Budget(rates=(1e-3,))


class HardPrompt(Trained):
    """Every weight of an encoder, the question in full words; rates are absolute."""

    kind: Literal["hard-prompt"] = "hard-prompt"
    budget: Budget = Budget(rates=(1e-4,))


class SoftPromptUnfrozen(Trained):
    """Every weight of an encoder and a soft prompt; ``rates`` are the weights', absolute, ``prompt_rate`` the prompt's.

    ``prompt_rate`` is a multiple of the start prompt's RMS; the rest is as in :class:`PromptTuning`.
    """

    kind: Literal["soft-prompt-unfrozen"] = "soft-prompt-unfrozen"
    start: Literal["text", "vocabulary"] = "text"
    placement: Literal["prefix", "suffix", "both"] | None = None
    length: int | None = Field(None, ge=1, le=4096)
    encoder: Literal["none", "mlp", "lstm"] = "none"
    layers: Literal["input", "every"] = "input"
    prompt_rate: float = Field(0.1, gt=0)
    budget: Budget = Budget(rates=(1e-4,))

    @model_validator(mode="after")
    def _one_of_the_two(self) -> SoftPromptUnfrozen:
        if self.encoder != "none" and self.layers == "every":
            raise ValueError("an `encoder` makes the vectors of the input only; leave it out or set `layers: input`")
        return self


MethodSettings = Annotated[
    Instruction | PromptTuning | Mpt | Lora | FineTuning | HardPrompt | SoftPromptUnfrozen, Field(discriminator="kind")
]
