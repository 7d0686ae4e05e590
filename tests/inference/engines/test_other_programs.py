"""Whole programs of others, started as their users start them: llama.cpp where it is installed, transformers always."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

import pytest
import torch

from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.schema.example import Answer, Example
from clinprompt.stages.configs import BackboneSettings, EngineSettings
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.opened_engine import open_engine
from tests.made_engine import PROMPTS, listening
from tests.made_gguf import write_gguf
from tests.made_prompts import write_random_prompt

NOTES = ("MEDICATIONS: aspirin 81 mg PO daily.", "Pt denies chest pain, fever of 39.2 C.", "naïve 😀 µg\tβ-blocker")
SPELLED = "Words: <medications@1:0> and <eos>."


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Random prompts on the embedded backbone, whose tokenizer other programs can read: backbone, prompts, folder."""
    folder = tmp_path_factory.mktemp("embedded")
    opened = open_backbone(BackboneSettings())
    files = [
        write_random_prompt(folder / f"{i}.safetensors", opened, task=task, placement=place, length=3 + i, seed=i)
        for i, (task, place) in enumerate(PROMPTS)
    ]
    given = ExportSettings(prompts=tuple(files), out=folder / "served", tables="float32")
    export_prompts(given, opened=opened)
    return opened, [load_prompt(file) for file in files], folder / "served"


def predictors(embedded, engine):
    ours = Predictor(embedded[0].backbone, engine.template, generation=Generation(12))
    return ours, Predictor(engine.backbone, engine.template, generation=Generation(12), engine=engine.engine)


def questions(prompts, notes):
    return [
        Question(
            Example("n", {"note": note}, Answer(), "n"), prompt.card.task, prompt.vectors,
            Placement(prompt.card.placement), prompt.card.full_name,
        )
        for note in notes
        for prompt in prompts
    ]  # fmt: skip


def test_llama_cpp_answers_and_scores_as_our_engine(embedded, tmp_path):
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on the PATH")
    pytest.importorskip("gguf")
    file = write_gguf(embedded[2], tmp_path / "served.gguf")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        program,
        "-m",
        str(file),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "-t",
        "1",
        "-np",
        "2",
        "-c",
        "4096",
    ]
    with subprocess.Popen([*command, "-ctk", "f32", "-ctv", "f32"], stdout=-3, stderr=-3) as process:
        try:
            wait_for(port, process)
            settings = EngineSettings(kind="openai", url=f"http://127.0.0.1:{port}/v1", checkpoint=embedded[2])
            engine = open_engine(settings, BackboneSettings())
            assert (engine.engine.asking.form, engine.engine.asking.scoring) == ("token ids", "forced")
            ours, theirs = predictors(embedded, engine)
            asked = questions(embedded[1], [*NOTES, SPELLED])
            assert [one.raw for one in theirs.predict(asked)] == [one.raw for one in ours.predict(asked)]
            answers = [(" yes", " no", " aspirin 81 mg")] * 2
            found, expected = (one.likelihoods(asked[:2], answers) for one in (theirs, ours))
            # The new tokens' share of the probability: 12 beside 2048 old ones, for at most eight tokens.
            assert torch.allclose(torch.tensor(found), torch.tensor(expected), atol=8 * 12 / 2048 + 0.01)
        finally:
            process.terminate()


def wait_for(port, process):
    """Until a program listens."""
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("it does not listen")


def test_transformers_serve_answers_text_as_our_engine(embedded):
    app = transformers_app(str(embedded[2]))
    with listening(app) as url:
        settings = EngineSettings(kind="openai", url=url, checkpoint=embedded[2], model=str(embedded[2]))
        engine = open_engine(settings, BackboneSettings())
        assert engine.engine.asking.form == "text" and not engine.engine.scores
        for prompt in embedded[1]:
            engine.check(prompt, where="p")
        ours, theirs = predictors(embedded, engine)
        asked = questions(embedded[1], NOTES)
        assert [one.raw for one in theirs.predict(asked)] == [one.raw for one in ours.predict(asked)]


def transformers_app(model):
    """What ``transformers serve MODEL`` starts, without its process; of its routes two are asked."""
    pytest.importorskip("transformers.cli.serving.completion")
    from transformers.cli.serving.completion import CompletionHandler
    from transformers.cli.serving.model_manager import ModelManager
    from transformers.cli.serving.server import build_server
    from transformers.cli.serving.utils import GenerationState

    manager = ModelManager(device="cpu", dtype="float32", force_model=model)
    state = GenerationState(continuous_batching=False)
    return build_server(
        manager, None, completion_handler=CompletionHandler(model_manager=manager, generation_state=state),
        response_handler=None, transcription_handler=None, systemone_handler=None, generation_state=state,
    )  # fmt: skip
