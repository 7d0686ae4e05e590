"""How much memory a backbone, its prompts and a batch take, computed from shapes before anything is loaded.

Encoders have formulas of their own (:mod:`clinprompt.backbones.encoder_memory`). Of decoders, weights, prompts and
key/value states are exact. Activations follow the tensors that autograd keeps in a layer whose weights are frozen (a
linear layer then keeps nothing), for N tokens of b bytes, H hidden numbers, a heads of d and k key heads, I inner
numbers of the MLP, e experts per token:

- two norms: 2 b N H (what is normed), and b N (a + k) d where heads are normed too
- queries and result: 2 b N a d; keys and values of what each row sees: 2 b S k d, S summed over the rows
- weights of Q queries of a row and the S' tokens it sees: b a Q S'; a fused product keeps its mask only, b Q S'
- MLP: 2 b N I (both halves of the gate); experts: b N e (6 I + H)

The last layer runs its MLP for the answers' positions only. Where activations are recomputed, all layers but the last
keep b N H, and one at a time the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from clinprompt.backbones import encoder_memory, state_store
from clinprompt.backbones.protocol import Placement
from clinprompt.backbones.published import ENCODER_TYPES
from clinprompt.backbones.quantised import linear_weights, weight_bytes

GIB = 1024**3
MARGIN = 1.1
"""An estimate fits when the free memory holds it and a tenth more: libraries, fragments and padding of batches."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: prompts of ``length`` vectors on batches of rows of ``tokens`` and ``answer`` tokens.

    ``members`` prompts are trained side by side, ``notes`` different notes are read in training, ``recompute`` is
    that of the backbone's settings. On an encoder the rows are questions: ``unfrozen`` trains all of its weights too,
    ``head_width`` is the width of the span matcher, and placement, answers and notes play no part. A prompt may have
    ``every_layer`` vectors of its own, or be made in training by a network of ``encoder_numbers`` numbers.
    """

    train: bool = True
    members: int = 1
    length: int = 100
    placement: Placement = Placement.suffix
    batch: int = 8
    tokens: int = 1024
    answer: int = 64
    notes: int = 1000
    recompute: bool = False
    unfrozen: bool = False
    head_width: int = 256
    every_layer: bool = False
    encoder_numbers: int = 0

    def prompt_bytes(self, *, hidden: int, layers: int) -> int:
        """Bytes of all prompts in float32, in training with the networks that make them."""
        own = self.length * hidden * (layers if self.every_layer else 1)
        return 4 * self.members * own + self.network_bytes

    @property
    def network_bytes(self) -> int:
        """Bytes of the networks that make the prompts: once prompts are trained there are none."""
        return 4 * self.members * self.encoder_numbers if self.train else 0

    @property
    def prefixes(self) -> int:
        """Prompt tokens before the rows of a batch; each prompt is run once for all its rows."""
        return min(self.members, self.batch) * self.placement.split(self.length)[0]

    @property
    def shared(self) -> bool:
        """Whether several rows stand behind one prompt, so that they see it through a mask."""
        return bool(self.prefixes) and self.members < self.batch

    @property
    def run(self) -> int:
        """Tokens of a row that are run forwards and backwards; with a suffix prompt the note is not among them."""
        read_once = self.placement is Placement.suffix
        return self.placement.split(self.length)[1] + self.answer + (0 if read_once else self.tokens)

    @property
    def seen(self) -> int:
        """Tokens that a row's last token sees."""
        return self.length + self.tokens + self.answer


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes by what they are for, and figures that help to choose: states of 1,000 tokens and of one prompt."""

    parts: Mapping[str, int]
    states_per_1000: int
    states_per_prompt: int

    @property
    def total(self) -> int:
        """Sum of the parts."""
        return sum(self.parts.values())

    def fits(self, free: int) -> bool:
        """Whether so many free bytes hold the estimate with its margin."""
        return MARGIN * self.total <= free


def estimate(
    model: Any, work: Work, *, dtype: torch.dtype, weights: str = "full", accelerator: bool = False
) -> Estimate:
    """The memory of ``work`` on a network, which may be on the meta device.

    Scores are kept where attention is not fused: for sinks, notes read before, and, unless there is an
    ``accelerator``, rows of up to 1,024 tokens in half precision (plain products are quicker on a processor).
    """
    b = dtype.itemsize
    if model.config.model_type in ENCODER_TYPES:
        return _of_encoder(model, work, weight_bytes(model, weights=weights, dtype=dtype), b)
    shape = _Shape.of(model)
    state = 2 * shape.layers * shape.key_width * b  # of one token
    prompts = work.prompt_bytes(hidden=shape.hidden, layers=shape.layers)
    parts = {"weights": weight_bytes(model, weights=weights, dtype=dtype)}
    largest = max((weight.numel() for weight in linear_weights(model)), default=0)
    unpacked = largest * b if weights != "full" else 0
    # Notes are read without gradients, so one layer at a time, but whole.
    whole = replace(work, placement=Placement.prefix)
    reading = shape.layer(whole.prefixes + whole.batch * whole.run, whole, b, scores=shape.sinks)
    if work.train:
        notes = work.placement is Placement.suffix
        plain = not accelerator and b < 4 and work.seen <= 1024
        scores = notes or shape.sinks or plain
        tokens = work.prefixes + work.batch * work.run
        layer = shape.layer(tokens, work, b, scores=scores)
        last = layer - shape.block(tokens, b) + shape.block(work.batch * work.answer, b)
        below = tokens * shape.hidden * b if work.recompute else layer
        parts["prompts, gradients, optimiser"] = 4 * prompts
        parts["prompts' networks at work"] = work.network_bytes
        parts["states of the notes in a batch"] = work.batch * work.tokens * state if notes else 0
        parts["states of notes kept"] = min(state_store.MEMORY, work.notes * work.tokens * state) if notes else 0
        parts["activations"] = (shape.layers - 1) * below + last
        parts["one layer at work"] = max(layer, reading if notes else 0) + unpacked
        # The head's own, float32, log-probabilities and their gradient.
        parts["logits"] = work.batch * work.answer * shape.vocabulary * (b + 3 * 4)
    else:
        parts["prompts"] = prompts
        parts["states of prompts and notes in a batch"] = work.batch * work.seen * state
        parts["one layer at work"] = reading + unpacked
        parts["logits"] = work.batch * shape.vocabulary * (b + 4)
    return Estimate(parts, 1000 * state, work.length * state)


def _of_encoder(model: Any, work: Work, weights: int, b: int) -> Estimate:
    parts = {"weights": weights}
    if work.train and work.unfrozen:
        # Gradient and two moments of each, what they were before and what they were at their best.
        parts["weights' gradients, optimiser, copies"] = 5 * weights
    parts |= encoder_memory.work_bytes(
        model.config,
        train=work.train,
        unfrozen=work.unfrozen,
        members=work.members,
        prompts=work.prompt_bytes(hidden=model.config.hidden_size, layers=model.config.num_hidden_layers),
        length=work.length,
        rows=work.batch,
        tokens=work.tokens,
        width=work.head_width,
        b=b,
    )
    if work.train:
        parts["prompts' networks at work"] = work.network_bytes
    return Estimate(parts, 0, 0)


def free_memory(device: torch.device) -> int:
    """Free bytes of a device; for the processor the available memory, or what its control group leaves when less."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").is_file() else []
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    for group, limit, used in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        folder = Path("/sys/fs/cgroup") / group
        if (folder / limit).is_file() and (text := (folder / limit).read_text().strip()).isdigit():
            found.append(max(0, int(text) - int((folder / used).read_text()) + _reclaimable(folder)))
    return min(found, default=2**62)  # unknown (not Linux): never a reason to refuse


def _reclaimable(folder: Path) -> int:
    """Bytes of files that a control group holds in memory and gives up when asked."""
    lines = (folder / "memory.stat").read_text().splitlines() if (folder / "memory.stat").is_file() else []
    return sum(int(line.split()[1]) for line in lines if line.split()[0] in ("inactive_file", "total_inactive_file"))


@dataclass(frozen=True, slots=True)
class _Shape:
    """The numbers of a decoder that decide its memory; widths are heads times their width."""

    layers: int
    hidden: int
    heads: int
    query_width: int
    key_width: int
    inner: int
    experts: int
    vocabulary: int
    sinks: bool
    head_norms: bool

    @classmethod
    def of(cls, model: Any) -> _Shape:
        config = model.config.get_text_config()
        heads = config.num_attention_heads
        key_heads = getattr(config, "num_key_value_heads", None) or heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        experts = int(getattr(config, "num_experts_per_tok", None) or 0)
        inner = (experts and getattr(config, "moe_intermediate_size", None)) or config.intermediate_size
        names = [name for name, _ in model.named_parameters()]
        return cls(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            heads=heads,
            query_width=heads * width,
            key_width=key_heads * width,
            inner=inner,
            experts=experts,
            vocabulary=config.vocab_size,
            sinks=any(name.endswith("sinks") for name in names),
            head_norms=any("q_norm" in name for name in names),
        )

    def layer(self, tokens: int, work: Work, b: int, *, scores: bool) -> int:
        """Bytes that one layer keeps for its backward pass; the formula is in the module's docstring."""
        norm = b * tokens * self.hidden
        # Keys of a batch: what prompts see of themselves, and what each row sees that is not a note read before.
        own = work.seen - (work.tokens if work.placement is Placement.suffix else 0)
        keys = work.batch * own + work.prefixes * work.shared
        attention = 2 * b * (tokens * self.query_width + keys * self.key_width)
        if self.head_norms:
            attention += b * tokens * (self.query_width + self.key_width)
        attention += tokens * work.seen * b * (self.heads if scores else work.shared)
        return norm + attention + self.block(tokens, b)

    def block(self, tokens: int, b: int) -> int:
        """The part of it for the norm and the MLP behind the attention."""
        inner = self.experts * (6 * self.inner + self.hidden) if self.experts else 2 * self.inner
        return tokens * b * (self.hidden + inner)
