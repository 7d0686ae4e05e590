"""Servers as people write them in an afternoon: FastAPI, one route, one request at a time through somebody's engine.

    python -m benchmarks.plain_server peft FOLDER THREADS
    python -m benchmarks.plain_server ctranslate2 FOLDER THREADS

`benchmarks.serving` starts them; FOLDER is that of a :class:`~benchmarks.served_bank.ServedBank`.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from clinprompt.backbones.loading import embedded_folder
from clinprompt.backbones.spelling import spell
from clinprompt.inference.token_requests import request_ids
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.exports.peft import CARD
from clinprompt.prompts.exports.token_map import read_token_map
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.formulated import TextPair
from clinprompt.serving.process import listen
from clinprompt.tasks.formulations.generative import formulate
from clinprompt.tasks.template import TEMPLATES


class Asked(BaseModel):
    """What the benchmark asks."""

    model: str
    prompt: str
    max_tokens: int


Complete = Callable[[Asked], list[int]]
"""The tokens of an answer."""


def peft_completions(folder: Path, threads: int) -> tuple[Any, dict[str, PromptCard], Complete]:
    """Tokenizer, cards and answers of a :class:`peft.PeftModel` with an adapter per task, behind a lock."""
    from peft import PeftModel

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(embedded_folder())
    model: Any = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.float32)
    first, *others = sorted(one.name for one in (folder / "peft").iterdir())
    cards = {name: PromptCard.model_validate_json((folder / "peft" / name / CARD).read_bytes())
             for name in (first, *others)}  # fmt: skip
    model = PeftModel.from_pretrained(model, folder / "peft" / first, adapter_name=first).eval()
    for name in others:
        model.load_adapter(folder / "peft" / name, adapter_name=name)
    lock = Lock()

    def complete(asked: Asked) -> list[int]:
        pair = question(asked.prompt, cards[asked.model])
        pieces = (*pair.context, *pair.cue)
        words = [t for one in pieces for t in spell(tokenizer, one.text, trusted=one.trusted)["input_ids"]]
        ids = torch.tensor([[tokenizer.bos_token_id, *words]])
        with lock, torch.inference_mode():
            model.set_adapter(asked.model)
            written = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=asked.max_tokens, do_sample=False
            )
        return written[0, ids.shape[1] :].tolist()

    return tokenizer, cards, complete


def ctranslate2_completions(folder: Path, threads: int) -> tuple[Any, dict[str, PromptCard], Complete]:
    """Tokenizer, cards and answers of CTranslate2 on the prompt-token checkpoint, ``threads`` answers side by side."""
    import ctranslate2

    tokenizer = AutoTokenizer.from_pretrained(folder / "checkpoint")
    generator = ctranslate2.Generator(
        str(folder / "ct2"), compute_type="float32", inter_threads=threads, intra_threads=1
    )
    held = read_token_map(folder / "checkpoint")
    cards = {one.name: one.card for one in held.prompts}

    def complete(asked: Asked) -> list[int]:
        prompt = held.prompt(asked.model)
        ids = request_ids(question(asked.prompt, prompt.card), prompt, tokenizer)
        [found] = generator.generate_batch(
            [tokenizer.convert_ids_to_tokens(ids)], max_length=asked.max_tokens, beam_size=1,
            include_prompt_in_result=False, end_token=[tokenizer.eos_token_id],
        )  # fmt: skip
        return list(found.sequences_ids[0])

    return tokenizer, cards, complete


ENGINES = {"peft": peft_completions, "ctranslate2": ctranslate2_completions}


def question(note: str, card: PromptCard) -> TextPair:
    """The words around a note that the task was made for."""
    assert card.task is not None
    example = Example("note", {"note": note}, Answer(), group="note")
    return formulate(example, card.task, TEMPLATES[card.template], with_answer=False)


def serve(engine: str, folder: Path, threads: int) -> None:
    """Answer ``/v1/completions`` until the process is ended; the address is told on stdout."""
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer, cards, complete = ENGINES[engine](folder, threads)
    app = FastAPI()

    @app.post("/v1/completions")
    def completions(asked: Asked) -> dict[str, Any]:
        tokens = [token for token in complete(asked) if token != tokenizer.eos_token_id]
        text = tokenizer.decode(tokens)  # words of the template that an answer repeats are special tokens: all are told
        return {"choices": [{"text": text.removeprefix(TEMPLATES[cards[asked.model].template].joint)}]}

    listener = listen("127.0.0.1", 0)
    print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="error", lifespan="off"))
    server.run(sockets=[listener])


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
