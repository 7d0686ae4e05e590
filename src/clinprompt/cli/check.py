"""``clinprompt check``: whether a backbone and a piece of work fit into memory, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinprompt.cli.console import console

if TYPE_CHECKING:
    from clinprompt.backbones.memory import Estimate, Work


class Dtype(StrEnum):
    """Dtypes of weights."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Weights(StrEnum):
    """What weights are kept in."""

    full = "full"
    int8 = "int8"
    nf4 = "nf4"


class Place(StrEnum):
    """Where prompts stand."""

    prefix = "prefix"
    suffix = "suffix"
    both = "both"


class PromptEncoder(StrEnum):
    """Networks that make a prompt's vectors while it trains."""

    none = "none"
    mlp = "mlp"
    lstm = "lstm"


class Layers(StrEnum):
    """Where prompts have vectors of their own."""

    input = "input"
    every = "every"


def check(
    backbone: Annotated[
        str, typer.Option("--backbone", "-b", help="As in other commands, or a name of `clinprompt show backbones`.")
    ] = "embedded",
    train: Annotated[bool, typer.Option("--train/--predict", help="Train prompts, or predict with them.")] = True,
    length: Annotated[int, typer.Option(min=1, help="Vectors of a prompt.")] = 100,
    placement: Annotated[Place, typer.Option(help="Where the prompt stands.")] = Place.suffix,
    members: Annotated[int, typer.Option(min=1, help="Prompts trained or used side by side.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Rows run at once, of all members together.")] = 8,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of a row's note and question.")] = 1024,
    answer: Annotated[int, typer.Option(min=1, help="Tokens of a row's answer.")] = 64,
    notes: Annotated[int, typer.Option(min=1, help="Different notes read in training.")] = 1000,
    encoder: Annotated[PromptEncoder, typer.Option(help="What makes a prompt's vectors in training.")] = (
        PromptEncoder.none
    ),
    layers: Annotated[Layers, typer.Option(help="Prompts at the input, or in every layer.")] = Layers.input,
    unfrozen: Annotated[bool, typer.Option("--unfrozen/--frozen", help="Train the weights of an encoder too.")] = False,
    recompute: Annotated[bool, typer.Option("--recompute", help="Run layers again instead of keeping them.")] = False,
    dtype: Annotated[Dtype, typer.Option(help="Dtype of the weights.")] = Dtype.bfloat16,
    weights: Annotated[Weights, typer.Option(help="What the frozen linear layers are kept in.")] = Weights.full,
    device: Annotated[str, typer.Option(help="auto, spread, cpu, cuda, cuda:0 …")] = "auto",
) -> None:
    """Say what memory a backbone and its prompts need; no weight is read. Exit code 2 when they do not fit.

    With an encoder a row is a question and a stretch of a note, and the options about answers, notes and placement
    change nothing.
    """
    from clinprompt.backbones.loading import blueprint, devices
    from clinprompt.backbones.memory import Work, free_memory
    from clinprompt.backbones.protocol import Placement
    from clinprompt.backbones.quantised import check_weights
    from clinprompt.prompts.encoded import encoder_numbers

    places = devices(device)
    model = blueprint(backbone)
    hidden = model.config.get_text_config().hidden_size
    work = Work(
        train=train, members=members, length=length, placement=Placement(placement.value),
        batch=batch, tokens=tokens, answer=answer, notes=notes, recompute=recompute,
        unfrozen=unfrozen, every_layer=layers is Layers.every,
        encoder_numbers=encoder_numbers(encoder.value, hidden=hidden),
    )  # fmt: skip
    check_weights(weights.value, model.config, where=backbone)
    _check_kind(model, work, weights.value, where=backbone)
    plan = Plan(model, work, dtype.value, weights.value, accelerator=places[0].type == "cuda")
    found, free = plan.estimate(), sum(free_memory(place) for place in places)
    fits = found.fits(free)
    advice = [] if fits else remedies(plan, free)
    named = {
        "backbone": backbone,
        "device": ", ".join(map(str, places)),
        "dtype": dtype.value,
        "weights": weights.value,
    }
    if console.json:
        console.result(
            named | {"work": asdict(work), "parameters": plan.parameters, "parts_bytes": dict(found.parts),
                     "total_bytes": found.total, "free_bytes": free, "fits": fits, "remedies": advice,
                     "states_per_1000_tokens_bytes":
                     found.states_per_1000, "states_per_prompt_bytes": found.states_per_prompt}
        )  # fmt: skip
    else:
        _show(plan, found, free, named, advice)
    if not fits:
        raise typer.Exit(2)


def _check_kind(model: Any, work: Work, weights: str, *, where: str) -> None:
    """Raise for what only the other kind of backbone can do."""
    from clinprompt.errors import InputError

    if work.every_layer and work.encoder_numbers:
        raise InputError("an encoder of the prompt makes vectors of the input only", where="--encoder, --layers every")
    if _encodes(model):
        if work.recompute or weights != "full":
            raise InputError("encoders run with full weights and without recomputing", where=where)
    elif work.unfrozen:
        raise InputError("--unfrozen is for encoders; a decoder is trained whole by --method fine-tuning", where=where)


def _encodes(model: Any) -> bool:
    from clinprompt.backbones.published import ENCODER_TYPES

    return model.config.model_type in ENCODER_TYPES


@dataclass(frozen=True, slots=True)
class Plan:
    """A network on the meta device and what is to be done with it in which precision."""

    model: Any
    work: Work
    dtype: str
    weights: str
    accelerator: bool

    @property
    def parameters(self) -> int:
        """Numbers of the network."""
        return sum(weight.numel() for weight in self.model.parameters())

    def estimate(self) -> Estimate:
        """The memory it takes."""
        from clinprompt.backbones.loading import DTYPES
        from clinprompt.backbones.memory import estimate

        return estimate(
            self.model, self.work, dtype=DTYPES[self.dtype], weights=self.weights, accelerator=self.accelerator
        )


def remedies(plan: Plan, free: int) -> list[str]:
    """Single changes that make the plan fit, else all of them together, else how much memory would be needed."""
    from clinprompt.backbones.memory import GIB, MARGIN
    from clinprompt.backbones.protocol import Placement
    from clinprompt.backbones.quantised import stored_method

    changes: list[tuple[str, Callable[[Plan], Plan]]] = []
    if plan.dtype == "float32":
        changes.append(("--dtype bfloat16", lambda plan: replace(plan, dtype="bfloat16")))
    writes = not _encodes(plan.model)
    if writes and plan.work.placement is not Placement.suffix:
        suffix = Placement.suffix
        changes.append(("--placement suffix", lambda plan: replace(plan, work=replace(plan.work, placement=suffix))))
    batch = plan.work.batch // 2
    while batch:
        changes.append((f"--batch {batch}", lambda plan, b=batch: replace(plan, work=replace(plan.work, batch=b))))
        batch //= 2
    if writes and plan.work.train and not plan.work.recompute:
        changes.append(("--recompute", lambda plan: replace(plan, work=replace(plan.work, recompute=True))))
    if plan.work.unfrozen:
        changes.append(("--frozen", lambda plan: replace(plan, work=replace(plan.work, unfrozen=False))))
    if writes and plan.weights == "full" and not stored_method(plan.model.config):
        changes += [(f"--weights {kind}", lambda plan, k=kind: replace(plan, weights=k)) for kind in ("int8", "nf4")]
    enough = [text for text, change in changes if change(plan).estimate().fits(free)]
    if enough:
        first = next((text for text in enough if "--batch" in text), None)
        return [text for text in enough if "--batch" not in text or text == first]  # the largest batch says it all
    least = plan
    for _, change in changes:  # later changes of a kind are the stronger ones
        least = change(least)
    kinds = {text.split()[0]: text for text, _ in changes}
    if changes and least.estimate().fits(free):
        return [" ".join(kinds.values())]
    memory = f"{MARGIN * least.estimate().total / GIB:.1f} GiB of free memory"
    return [f"{memory} and {' '.join(kinds.values())}" if kinds else memory]


def _show(plan: Plan, found: Estimate, free: int, named: dict[str, str], advice: list[str]) -> None:
    from clinprompt.backbones.memory import MARGIN

    title = f"{named['backbone']}: {plan.parameters:,} parameters, {named['dtype']}, weights {named['weights']}"
    rows = [(name, _gib(count)) for name, count in found.parts.items() if count]
    rows += [("total", _gib(found.total)), (f"free on {named['device']}", _gib(free))]
    console.table(("memory", "GiB"), rows, title=title)
    facts = [
        ("keys and values of 1,000 tokens", _gib(found.states_per_1000)),
        ("keys and values of one prompt", _gib(found.states_per_prompt)),
    ]
    if not _encodes(plan.model):
        console.table(("for comparison", "GiB"), facts, title="")
    if not advice:
        console.line(f"It fits, with {MARGIN - 1:.0%} to spare.")
    else:
        console.line(f"It does not fit with {MARGIN - 1:.0%} to spare. It would with: {'; or '.join(advice)}.")


def _gib(count: int) -> float:
    return count / 1024**3
