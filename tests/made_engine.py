"""An OpenAI-compatible server on this machine: FastAPI at the door, CTranslate2 doing the work on a checkpoint."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from transformers import AutoTokenizer

from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.engine_settings import EngineSettings
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.opened_engine import open_engine
from tests.made_backbones import tiny_folder
from tests.made_prompts import write_random_prompt

PROMPTS = (("medications", "suffix"), ("impression", "prefix"), ("lab-flag", "both"))


@dataclass
class MadeCheckpoint:
    """A tiny backbone, prompts for it in files, all of them as tokens of one checkpoint, and that for CTranslate2."""

    opened: Opened
    files: list[Path]
    folder: Path
    converted: Path

    def server(self) -> CheckpointServer:
        return CheckpointServer(self.folder, self.converted)

    def engine(self, url: str, **options):
        """The server opened as a stage opens it."""
        settings = EngineSettings(kind="openai", url=url, checkpoint=self.folder, **options)
        return open_engine(settings, BackboneSettings())


def made_checkpoint(folder: Path, *, seed: int = 0) -> MadeCheckpoint:
    """Three prompts of three placements; ``seed`` is that of their numbers, not of the backbone."""
    settings = BackboneSettings(path=str(tiny_folder(folder / "tiny")), dtype="float32")
    opened = open_backbone(settings)
    files = [
        write_random_prompt(
            folder / f"{task}.safetensors", opened, task=task, placement=place, length=3 + i, seed=seed + i
        )
        for i, (task, place) in enumerate(PROMPTS)
    ]
    given = ExportSettings(backbone=settings, prompts=tuple(files), out=folder / "served", tables="float32")
    export_prompts(given, opened=opened)
    return MadeCheckpoint(opened, files, folder / "served", folder / "ct2")


class CheckpointServer:
    """What the server can do and has been asked; ``failures`` are (status, headers) of its next answers."""

    def __init__(self, checkpoint: Path, converted: Path):
        import ctranslate2
        from ctranslate2.converters import TransformersConverter

        if not converted.is_dir():
            with patch.object(gc, "collect", int):  # the converter collects in every step: seconds in tests
                TransformersConverter(str(checkpoint)).convert(str(converted), quantization="float32")
        self.generator = ctranslate2.Generator(str(converted), compute_type="float32", inter_threads=2, intra_threads=1)
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.name, self.lock = checkpoint.name, threading.Lock()
        self.reset()
        self.app = FastAPI()
        self.app.get("/v1/models")(self.list_models)
        self.app.post("/v1/completions")(self.complete)

    def reset(self) -> None:
        """All it can do, and nothing asked yet.

        ``streams``: it streams, with ``pace`` seconds before each token; ``pieces`` are those it has sent.
        ``scoring`` ``biased`` are log-probabilities after the bias, as some servers have them; ``cut`` are tokens of
        questions that it silently leaves out.
        """
        self.scoring, self.ids, self.texts, self.key = ("echo", "bias"), True, True, ""
        self.models = [self.name]
        self.failures: deque = deque()
        self.asked: list[dict] = []
        self.only, self.breaks_after = "", -1
        self.delay, self.cut = 0.0, 0
        self.streams, self.pace, self.pieces = True, 0.0, 0
        self.under_way = self.most_under_way = 0

    def list_models(self, request: Request):
        if refusal := self.refusal(request):
            return refusal
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}

    def refusal(self, request: Request):
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": "no", "type": "auth", "code": "invalid_api_key"}}, 401)
        with self.lock:
            status, headers = self.failures.popleft() if self.failures else (0, {})
        return JSONResponse({"error": {"message": "busy"}}, status, headers) if status else None

    async def complete(self, request: Request):
        body = await request.json()
        return await run_in_threadpool(self.answer, request, body)

    def answer(self, request: Request, body: dict):
        if refusal := self.refusal(request):
            return refusal
        if self.only and body["model"] != self.only:
            return JSONResponse({"error": {"message": "no such model"}}, 404)
        if len(self.asked) == self.breaks_after:
            return JSONResponse({"error": {"message": f"cannot do {body}"}}, 500)
        prompt = body["prompt"]
        if not (self.texts if isinstance(prompt, str) else self.ids):
            # As careless servers do: what was asked stands in the message.
            return JSONResponse({"error": {"message": f"bad prompt {prompt}", "type": "invalid_request_error"}}, 400)
        if (body.get("echo") and "echo" not in self.scoring) or (
            body.get("logit_bias") and not {"bias", "biased"} & set(self.scoring)
        ):
            return JSONResponse({"error": {"message": "not supported"}}, 400)
        if body.get("stream") and not self.streams:
            return JSONResponse({"error": {"message": "no streams"}}, 400)
        with self.lock:
            self.asked.append(body)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        if body.get("stream"):
            return StreamingResponse(self.stream(body), media_type="text/event-stream")
        try:
            time.sleep(self.delay)
            return self.completion(body)
        finally:
            with self.lock:
                self.under_way -= 1

    async def stream(self, body: dict):
        """One piece per token, up to a client that goes away; log-probabilities and usage at the end."""

        def event(choice, **more):
            self.pieces += 1
            return f"data: {json.dumps({'choices': [choice] if choice else [], **more})}\n\n"

        ids, whole = self.ids_of(body["prompt"]), ""
        words = self.tokenizer.convert_ids_to_tokens(ids)
        eos, written = self.tokenizer.eos_token_id, []
        steps = self.generator.generate_tokens(words, max_length=body["max_tokens"], end_token=[eos])
        ended, text = False, ""
        try:
            while not ended and (step := await run_in_threadpool(next, steps, None)) is not None:
                await asyncio.sleep(self.pace)
                ended = step.token_id == eos
                written += [] if ended else [step.token_id]
                text = self.tokenizer.decode(written, clean_up_tokenization_spaces=False)
                places = [text.find(stop) for stop in body.get("stop", ()) if stop in text]
                text, ended = (text[: min(places)], True) if places else (text, ended)
                if text[len(whole) :] and not text.endswith("\ufffd"):
                    yield event({"text": text[len(whole) :], "index": 0, "logprobs": None, "finish_reason": None})
                    whole = text
            told = self.logprobs(ids, written, body) if body.get("logprobs") and self.scoring else None
            reason = "stop" if ended else "length"
            yield event({"text": text[len(whole) :], "index": 0, "logprobs": told, "finish_reason": reason})
            yield event(None, usage={"prompt_tokens": len(ids), "completion_tokens": len(written)})
            yield "data: [DONE]\n\n"
        finally:
            steps.close()
            with self.lock:
                self.under_way -= 1

    def ids_of(self, prompt) -> list[int]:
        ids = self.tokenizer.encode(prompt, add_special_tokens=True) if isinstance(prompt, str) else list(prompt)
        return ids[self.cut :]

    def completion(self, body: dict) -> dict:
        ids = self.ids_of(body["prompt"])
        bias = body.get("logit_bias")
        if bias:
            written, ended = [int(token) for token in bias][:1], False
        else:
            written, ended = self.generate(ids, body["max_tokens"])
        text = self.tokenizer.decode(written, clean_up_tokenization_spaces=False)
        places = [text.find(stop) for stop in body.get("stop", ()) if stop in text]
        choice = {"text": text[: min(places)] if places else text, "index": 0, "logprobs": None}
        choice["finish_reason"] = "stop" if ended or places else "length"
        if body.get("logprobs") and self.scoring:
            choice["logprobs"] = self.logprobs(ids, written, body)
        if body.get("echo"):
            choice["text"] = self.tokenizer.decode(ids) + choice["text"]
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written)}
        return {"object": "text_completion", "choices": [choice], "usage": usage}

    def generate(self, ids: list[int], most: int) -> tuple[list[int], bool]:
        eos = self.tokenizer.eos_token_id
        [found] = self.generator.generate_batch(
            [self.tokenizer.convert_ids_to_tokens(ids)], max_length=most, beam_size=1, include_prompt_in_result=False,
            end_token=[eos], return_end_token=True,
        )  # fmt: skip
        written = list(found.sequences_ids[0])
        return (written[:-1], True) if written[-1:] == [eos] else (written, False)

    def logprobs(self, ids: list[int], written: list[int], body: dict) -> dict:
        """OpenAI's four lists, by one run over prompt and answer."""
        tokens = [*ids, *written]
        logits = self.generator.forward_batch([self.tokenizer.convert_ids_to_tokens(tokens)], return_log_probs=True)
        values = np.array(logits)[0].astype(float)  # [T, V]
        own = [None, *(float(values[t - 1, token]) for t, token in enumerate(tokens) if t)]
        tops = [None, *(np.argsort(-values[t - 1])[: body["logprobs"]] for t in range(1, len(tokens)))]
        first = 0 if body.get("echo") else len(ids)
        if body.get("logit_bias") and "biased" in self.scoring:
            own = [value and 0.0 for value in own]
        text = lambda token: self.tokenizer.decode([int(token)])  # noqa: E731
        return {
            "tokens": [text(token) for token in tokens[first:]],
            "token_logprobs": own[first:],
            "top_logprobs": [
                None if top is None else {text(one): float(values[t - 1, one]) for one in top}
                for t, top in enumerate(tops)
            ][first:],
        }


@contextmanager
def listening(app):
    """The address under which an app answers on this machine, up to ``/v1``."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
            assert thread.is_alive()
        [port] = {socket.getsockname()[1] for one in server.servers for socket in one.sockets}
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join(10)
