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

    ``threshold`` ``dev`` moves the border above which an adapted encoder answers to where ``dev_limit`` dev examples
    have the highest F1, if there is a dev part; ``half`` leaves it at a probability of one half.
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
    threshold: Literal["dev", "half"] = "dev"


def needs_teachers(weight: float, start: str) -> bool:
    """Whether a metaprompt of this distillation weight and start is made with teachers."""
    return weight > 0 or start == "teachers"


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


class InContext(Settings):
    """The cell's training examples with their answers before every note, as many as fit; nothing is trained.

    ``fit`` is how many tokens they may have together (null: half of the backbone's context).
    """

    kind: Literal["in-context"] = "in-context"
    fit: int | None = Field(None, ge=1)


class PromptTuning(Trained):
    """A free prompt per task, started from the task's words or from sampled vocabulary.

    ``placement`` and ``length`` are for comparisons: in place of those in the prompt's settings. An ``encoder`` (two
    layers, or an LSTM and two layers) makes the vectors while they train and is folded into them afterwards.
    ``layers`` ``every`` has vectors of their own in every layer.
    """

    kind: Literal["prompt-tuning"] = "prompt-tuning"
    start: Literal["text", "vocabulary"] = "text"
    placement: Literal["prefix", "suffix", "both", "apart"] | None = None
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

    The rest is for ablations. ``metaprompt`` names a variant of a recipe's sources. With ``random_metaprompt`` every
    vector of the metaprompt is another one of its length, drawn by the seed. ``prior`` weighs a Gaussian round the
    start prompt, as wide as the sources' prompts differ; ``kl_to_start`` the divergence of the answers' distributions
    from those that the start gives.
    """

    kind: Literal["mpt"] = "mpt"
    factors: Literal["mean", "select", "neutral"] = "mean"
    rank: int = Field(1, ge=1)
    train_metaprompt: bool = True
    factor_share: float = Field(0.3, gt=0)
    # These are left out of a run's identity where they are not used.
    train_factors: bool = Field(True, exclude_if=lambda value: value)
    metaprompt: str = Field("", exclude_if=lambda name: not name)
    random_metaprompt: bool = Field(False, exclude_if=lambda value: not value)
    prior: float = Field(0.0, ge=0, exclude_if=lambda weight: weight == 0)
    kl_to_start: float = Field(0.0, ge=0, exclude_if=lambda weight: weight == 0)
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _something_trains(self) -> Mpt:
        if not self.train_metaprompt and not self.train_factors:
            raise ValueError("`train_metaprompt` and `train_factors` are both off; leave one of them on")
        return self


class Spot(Trained):
    """A free prompt per task, started from the one source's prompt that makes its training examples likeliest.

    Without training examples there is nothing to choose by, and it is the task's words. Rates are multiples of the
    start's RMS.
    """

    kind: Literal["spot"] = "spot"
    budget: Budget = Budget()


class Attention(Trained):
    """A prompt of the task's own plus a weighted sum of the sources' prompts, which stay as they are.

    ``start`` is the own prompt's: nothing, the task's words or sampled vocabulary. ``weights`` start even or by how
    likely each source's prompt makes the target's examples; they are softmax(logits / ``temperature``), and the logits'
    rate is ``weight_share`` of the prompt's, in nats.
    """

    kind: Literal["attention"] = "attention"
    start: Literal["zero", "text", "vocabulary"] = "zero"
    weights: Literal["uniform", "loss"] = "uniform"
    temperature: float = Field(1.0, gt=0)
    weight_share: float = Field(0.3, gt=0)
    budget: Budget = Budget()


class Routing(Trained):
    """A mixture of low-rank prompts with gates of its own for each of so many ``segments`` of the prompt's vectors.

    ``experts`` are the factor pairs of the metaprompt's ``sources``, which stay as they are while the metaprompt and
    the gates train, or so many of the task's own, of this ``rank``, without a metaprompt. The rest as in
    :class:`Attention`; even gates only for experts of the task's own.
    """

    kind: Literal["routing"] = "routing"
    experts: Literal["sources"] | Annotated[int, Field(ge=1)] = "sources"
    rank: int = Field(8, ge=1)
    segments: int = Field(1, ge=1)
    weights: Literal["uniform", "loss"] = "uniform"
    temperature: float = Field(1.0, gt=0)
    weight_share: float = Field(0.3, gt=0)
    train_metaprompt: bool = True
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Routing:
        if self.experts != "sources" and (self.weights == "loss" or not self.train_metaprompt):
            raise ValueError("`weights: loss` and `train_metaprompt: false` are for `experts: sources`; leave them out")
        if self.experts == "sources" and self.rank != type(self).model_fields["rank"].default:
            raise ValueError("`rank` is that of experts of the task's own, the sources' have theirs; leave it out")
        return self


class Lora(Trained):
    """Low-rank updates; rates are absolute.

    ``rank`` ``matched``: no more numbers train than a prompt of the prompt's length has, if need be in few layers.
    """

    kind: Literal["lora"] = "lora"
    rank: Literal["matched"] | Annotated[int, Field(ge=1)] = 8
    alpha: float = 16.0
    targets: str = "all-linear"
    budget: Budget = Budget(rates=(3e-3,))


class FineTuning(Trained):
    """Every weight; rates are absolute. An encoder's are those of :class:`HardPrompt` where none are given."""

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
    placement: Literal["prefix", "suffix", "both", "apart"] | None = None
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
    Instruction
    | InContext
    | PromptTuning
    | Mpt
    | Spot
    | Attention
    | Routing
    | Lora
    | FineTuning
    | HardPrompt
    | SoftPromptUnfrozen,
    Field(discriminator="kind"),
]


def prompt_fields(method: MethodSettings) -> tuple[str, ...]:
    """Which of a prompt's settings a method goes by: not what it says itself, none of sources' prompts or of none."""
    if isinstance(method, Routing):
        return () if method.experts == "sources" else ("length", "placement", "layers")
    if isinstance(method, PromptTuning | SoftPromptUnfrozen):
        own = ("layers",) if method.layers == "input" else ()
        return tuple(name for name in ("length", "placement") if getattr(method, name) is None) + own
    return ("length", "layers") if isinstance(method, Lora) and method.rank == "matched" else ()


def from_metaprompt(method: MethodSettings) -> bool:
    """Whether a method starts from the metaprompt that was made of the sources."""
    return isinstance(method, Mpt) or (isinstance(method, Routing) and method.experts == "sources")


def from_teachers(method: MethodSettings) -> bool:
    """Whether a method starts from the sources' own prompts."""
    return isinstance(method, Attention | Spot)


def from_sources(method: MethodSettings) -> bool:
    """Whether a method starts from anything that the sources made."""
    return from_metaprompt(method) or from_teachers(method)


def own_rates(method: MethodSettings) -> tuple[float, ...]:
    """The learning rates that a person gives a method; none where they are the method's default."""
    budget = getattr(method, "budget", None)
    if budget is None or "budget" not in method.model_fields_set or "rates" not in budget.model_fields_set:
        return ()
    return budget.rates


def for_encoder(method: MethodSettings) -> MethodSettings:
    """The method with the rates that it has on an encoder: fine-tuning's own are those of the embedded decoder."""
    if not isinstance(method, FineTuning) or own_rates(method):
        return method
    budget = method.budget.model_copy(update={"rates": HardPrompt().budget.rates})
    return method.model_copy(update={"budget": budget})
