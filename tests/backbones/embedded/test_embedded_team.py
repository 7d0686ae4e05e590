"""Several processes train as one would with their mean gradient; none of them outlives the run, or hangs it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import asdict

import pytest
import torch
from transformers import AutoModelForCausalLM

from clinprompt.backbones.embedded import causal_attention, checkpoint
from clinprompt.backbones.embedded.pretrain import (
    Run,
    corpus_tokenizer,
    gradients,
    new_model,
    new_optimiser,
    own_batches,
    pretrain,
    rate_at,
    shared_order,
)
from clinprompt.backbones.embedded.progress import CURVE
from clinprompt.backbones.embedded.size import Size
from clinprompt.backbones.embedded.team import cores, gathered
from clinprompt.errors import InputError

TINY = Size(
    name="tiny",
    vocabulary=400,
    hidden=32,
    layers=2,
    heads=2,
    feed_forward=48,
    batch_tokens=1400,
    warm_up_steps=4,
    tokenizer_notes=60,
    sequences_at_a_time=40,
)
RUN = Run(tokens=14_000, seed=2, processes=2, size=TINY)
PLAN = {"tokens": RUN.tokens, "seed": RUN.seed, "processes": RUN.processes, "size": TINY, "checkpoint_tokens": 4_000}


class Stop(Exception):
    """Breaks a run off."""


def train_alone() -> tuple[dict[str, torch.Tensor], int]:
    """The weights that two processes must reach, and the tokens read: one process, both gradients, their mean."""
    tokenizer = corpus_tokenizer(seed=RUN.seed, notes=TINY.tokenizer_notes, vocabulary=TINY.vocabulary)
    model = new_model(TINY, seed=RUN.seed, tokenizer=tokenizer)
    model.set_attn_implementation(causal_attention.NAME)
    optimiser = new_optimiser(model)
    tokens = before = step = chunk = 0
    while True:
        owned = [own_batches(RUN, chunk, tokenizer, rank=rank) for rank in range(2)]
        count = min(len(own) for own in owned)
        for pair in zip(*(shared_order(own, count=count, seed=f"order 2 {chunk}") for own in owned), strict=True):
            found = []
            for rank, batch in enumerate(pair):
                model.zero_grad()
                read = gradients(model, batch, seed=RUN.seed + 2 * step + rank, pad=tokenizer.pad_token_id)[2]
                found.append([p.grad.clone() for p in model.parameters()])
                tokens, before = tokens + read, tokens if rank == 0 else before
            for parameter, one, other in zip(model.parameters(), *found, strict=True):
                parameter.grad = (one + other) / 2
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(TINY, step=step, progress=before / RUN.tokens)
            optimiser.step()
            step += 1
            if tokens >= RUN.tokens:
                return model.state_dict(), tokens
        chunk += 1


def test_two_interrupted_processes_end_where_one_with_their_mean_gradient_does(tmp_path):
    def stop_late(now) -> None:
        if now.tokens > 9_000:
            raise Stop

    with pytest.raises(Stop):
        pretrain(tmp_path, report=stop_late, **PLAN)
    assert not multiprocessing.active_children()
    with pytest.raises(InputError, match="processes") as refused:
        pretrain(tmp_path, report=stop_late, **{**PLAN, "processes": 3})
    assert "processes 2" in refused.value.allowed

    steps = []
    result = pretrain(tmp_path, report=steps.append, **PLAN)
    assert steps[0].tokens > 4_000
    expected, tokens = train_alone()
    assert result.tokens == tokens
    found = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).state_dict()
    for name, weight in expected.items():
        assert torch.allclose(found[name], weight, rtol=2**-8, atol=1e-4), name  # the folder is bfloat16
    card = json.loads((tmp_path / "clinprompt.json").read_text())
    assert card["size"] == asdict(TINY) and card["processes"] == 2
    assert not (tmp_path / checkpoint.FILE).exists() and (tmp_path / CURVE).exists()


def test_a_process_that_dies_ends_the_run(tmp_path):
    def kill_the_other(_) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(InputError, match="process 1 of 2 has ended") as told:
        pretrain(tmp_path, report=kill_the_other, **PLAN)
    assert "checkpoint" in told.value.fix
    assert not multiprocessing.active_children() and not torch.distributed.is_initialized()


def test_no_process_outlives_a_killed_leader(tmp_path):
    script = tmp_path / "leader.py"
    script.write_text(
        textwrap.dedent("""
        import time
        from clinprompt.backbones.embedded.team import gathered

        def work(team):
            print("at work", flush=True)
            time.sleep(600)

        if __name__ == "__main__":
            with gathered(2, work):
                time.sleep(600)
        """)
    )
    leader = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert leader.stdout.readline() == b"at work\n"
    leader.kill()
    assert leader.communicate(timeout=20)[0] == b""  # ends when the last process that could write has ended


def test_one_process_is_alone_and_threads_are_given_back():
    threads = torch.get_num_threads()
    with gathered(1, print) as team:
        assert (team.rank, team.size, team.least(5), torch.get_num_threads()) == (0, 1, 5, 1)
    assert torch.get_num_threads() == threads
    assert 1 <= cores() <= os.cpu_count()


@pytest.mark.parametrize("fault", [{"tokens": 0}, {"processes": 0}])
def test_nothing_to_do_is_refused(tmp_path, fault):
    with pytest.raises(InputError, match="at least 1"):
        pretrain(tmp_path, report=print, **{**PLAN, **fault})
