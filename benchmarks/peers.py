"""The same work with peft and plain transformers, written as their users write it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, MultitaskPromptTuningConfig, PeftModel, PromptTuningConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks.models import BOS, PAD
from benchmarks.rows import Batch
from benchmarks.timing import Step
from clinprompt.backbones.protocol import Row


def prompt_tuning(folder: Path, starts: Tensor, *, dtype: str, device: str) -> PeftModel:
    """A peft model with one PROMPT_TUNING adapter ``task<n>`` per start ``[N, P, H]``, the first of them active."""
    config = {"task_type": "CAUSAL_LM", "num_virtual_tokens": starts.shape[1]}
    with _known_warnings_silenced():
        model = get_peft_model(_network(folder, dtype, device), PromptTuningConfig(**config), adapter_name="task0")
        for n in range(1, len(starts)):
            model.add_adapter(f"task{n}", PromptTuningConfig(**config))
    with torch.no_grad():
        for n, start in enumerate(starts):
            model.prompt_encoder[f"task{n}"].embedding.weight.copy_(start)
    return model.to(device)


def multitask(folder: Path, metaprompt: Tensor, rows: Tensor, cols: Tensor, *, dtype: str, device: str) -> PeftModel:
    """A peft model with MULTITASK_PROMPT_TUNING over as many tasks as there are factors."""
    config = MultitaskPromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=len(metaprompt), num_tasks=len(rows), num_ranks=rows.shape[2]
    )
    with _known_warnings_silenced():
        model = get_peft_model(_network(folder, dtype, device), config)
    encoder = model.prompt_encoder["default"]
    with torch.no_grad():
        encoder.embedding.weight.copy_(metaprompt)
        encoder.prefix_task_cols.copy_(rows)  # peft calls the factor with one number per vector the columns
        encoder.prefix_task_rows.copy_(cols)
    return model.to(device)


def low_rank(folder: Path, tasks: int, *, dtype: str, device: str, rank: int = 8) -> PeftModel:
    """A peft model with one LoRA adapter ``task<n>`` per task on all linear layers, random and not zero."""
    config = LoraConfig(task_type="CAUSAL_LM", r=rank, target_modules="all-linear", init_lora_weights=False)
    with _known_warnings_silenced():
        model = get_peft_model(_network(folder, dtype, device), config, adapter_name="task0")
        for n in range(1, tasks):
            model.add_adapter(f"task{n}", config)
    return model.to(device).eval()


def prompt_step(model: PeftModel, batches: Sequence[Batch]) -> Step:
    """The mean answer loss of equally large batches and its gradient, under the names that ours has for it."""
    encoder = model.prompt_encoder[model.active_adapter]
    named = {"prompt": encoder.embedding.weight}
    if hasattr(encoder, "prefix_task_cols"):
        named = {"metaprompt": named["prompt"], "rows": encoder.prefix_task_cols, "cols": encoder.prefix_task_rows}

    def step() -> dict[str, Tensor]:
        model.zero_grad()
        total = torch.zeros((), device=model.device)
        for rows, tasks in batches:
            inputs = collate(rows, device=str(model.device))
            if "rows" in named:
                inputs["task_ids"] = torch.tensor(tasks, device=model.device)
            loss = model(**inputs).loss / len(batches)
            loss.backward()
            total += loss.detach()
        shared = ("prompt", "metaprompt")  # ours has a first dimension for the member
        gradients = {name: value.grad[None] if name in shared else value.grad for name, value in named.items()}
        return {"loss": total} | gradients

    return step


def collate(rows: Sequence[Row], *, device: str) -> dict[str, Tensor]:
    """Token ids, mask and labels padded on the right to the longest row; only answers are labelled."""
    lines = [[BOS, *row.context, *row.cue, *row.answer] for row in rows]
    T = max(map(len, lines))
    ids = torch.tensor([line + [PAD] * (T - len(line)) for line in lines], device=device)
    mask = torch.tensor([[1] * len(line) + [0] * (T - len(line)) for line in lines], device=device)
    labels = torch.tensor(
        [
            [-100] * (len(line) - len(row.answer)) + list(row.answer) + [-100] * (T - len(line))
            for row, line in zip(rows, lines, strict=True)
        ],
        device=device,
    )
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def generated(model: PeftModel, rows: Sequence[Row], *, tokens: int, tasks: Sequence[int] | None = None) -> Tensor:
    """Greedy new tokens ``[B, tokens]`` behind rows of one length, without their answers."""
    ids = torch.tensor([[BOS, *row.context, *row.cue] for row in rows], device=model.device)
    mixed = {} if tasks is None else {"task_ids": torch.tensor(tasks, device=model.device)}
    with torch.no_grad(), _known_warnings_silenced():
        written = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            **mixed,
        )
    return written[:, ids.shape[1] :]


def _network(folder: Path, dtype: str, device: str) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    return model.to(device)


@contextmanager
def _known_warnings_silenced() -> Iterator[None]:
    """peft 0.21 asks transformers 5.23 for a property under its old name, and says that it counts positions itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Position ids are not supported", category=UserWarning)
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
