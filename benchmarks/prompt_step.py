"""Time of one training step of a soft prompt: peft, our plain path, and notes read once, on the same rows.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/prompt_step.py [--rows 16] [--rounds 9] [--threads 2]

The three run in turn within one process; printed are medians and the ratio to peft as JSON. The work: one forward and
backward of 16 prompt vectors on the embedded backbone over synthetic notes, answer tokens only in the loss. peft puts
its prompt first and computes the logits of every position; ours are placed after the note.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time

import torch
from peft import PromptTuningConfig, get_peft_model

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.data.readers.synthetic import read
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import load_task
from clinprompt.tasks.formulations.generative import formulate
from clinprompt.tasks.template import TEMPLATES

LENGTH = 16


def rows_of(backbone, count):
    task, template = load_task("medications"), TEMPLATES[backbone.template]
    rows = []
    for document in read(None, n=count, seed=77, sections=["medications"]):
        spans = tuple(span for span in document.spans if span.label in task.labels)
        example = Example(document.id, {"note": document.text}, Answer(spans=spans), document.group)
        rows.append(backbone.encode(formulate(example, task, template), name=document.id, reserve=LENGTH))
    return rows


def ours(backbone, rows, notes):
    vectors = torch.randn(len(rows), LENGTH, backbone.hidden_size).mul_(0.1).requires_grad_()
    output = backbone.forward(rows, PromptVectors(vectors, Placement.suffix), notes=notes)
    torch.nn.functional.cross_entropy(output.logits, output.targets).backward()


def peer(model, backbone, rows):
    lines = [[backbone.bos, *row.context, *row.cue, *row.answer] for row in rows]
    T = max(map(len, lines))
    ids = torch.tensor([line + [backbone.pad] * (T - len(line)) for line in lines])
    mask = torch.tensor([[1] * len(line) + [0] * (T - len(line)) for line in lines])
    labels = torch.full_like(ids, -100)
    for b, (row, line) in enumerate(zip(rows, lines, strict=True)):
        labels[b, len(line) - len(row.answer) : len(line)] = torch.tensor(row.answer)
    model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
    model.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backbone", default="embedded")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    backbone = load_backbone(options.backbone)
    rows = rows_of(backbone, options.rows)
    notes = backbone.note_cache()
    other = load_backbone(options.backbone)
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=LENGTH)
    model = get_peft_model(other.model, config)
    ways = {
        "peft": lambda: peer(model, backbone, rows),
        "plain": lambda: ours(backbone, rows, None),
        "notes read once": lambda: ours(backbone, rows, notes),
    }
    seconds = {name: [] for name in ways}
    for turn in range(options.rounds + 2):
        for name, step in ways.items():
            began = time.perf_counter()
            step()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        json.dumps(
            {
                "rows": options.rows,
                "tokens per row": statistics.fmean(row.length for row in rows),
                "milliseconds": {name: round(1000 * value, 1) for name, value in medians.items()},
                "times faster than peft": {name: round(medians["peft"] / value, 2) for name, value in medians.items()},
                "rounds": options.rounds,
                "threads": options.threads,
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "torch": torch.__version__,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
