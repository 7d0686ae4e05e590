"""lm-eval scores our peft export as our engine scores the prompt: equal log-likelihoods of the choices.

The package is no part of ours (it brings thirty others); the test runs where it is installed.
"""

from __future__ import annotations

import pytest

from clinprompt.backbones.loading import embedded_folder
from clinprompt.backbones.protocol import Placement, Row
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.schema.formulated import Piece
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from tests.made_prompts import write_random_prompt

CONTEXTS = ("Note: aspirin 81 mg daily. Answer:", "Note: no chest pain today. Is there pain? Answer:")
CHOICES = (" yes", " no", " maybe")


@pytest.mark.filterwarnings("ignore")
def test_lm_eval_gives_our_likelihoods(backbones, tmp_path):
    pytest.importorskip("lm_eval", exc_type=ImportError)
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    settings, opened = backbones("embedded")
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
    given = ExportSettings(backbone=settings, prompts=(file,), to="peft", out=tmp_path / "out")
    export_prompts(given, opened=opened)
    model = HFLM(
        str(embedded_folder()), peft=str(tmp_path / "out" / "medications"), dtype="float64", device="cpu", batch_size=1,
        add_bos_token=True,
    )  # fmt: skip
    asked = [
        Instance("loglikelihood", {}, (context, choice), number)
        for number, (context, choice) in enumerate((c, a) for c in CONTEXTS for a in CHOICES)
    ]
    theirs = [value for value, _ in model.loglikelihood(asked, disable_tqdm=True)]
    vectors = load_prompt(file).vectors
    engine = LocalEngine(opened.backbone)

    def request(text):
        ids = tuple(opened.backbone.tokens(Piece(text)))
        return Request(Row("row", ids[:-1], ids[-1:], ()), vectors, Placement.prefix)

    whole = engine.likelihoods([request(context) for context in CONTEXTS], [CHOICES] * len(CONTEXTS))
    # Ours count the end token as well, which lm-eval leaves out.
    ends = [engine.likelihoods([request(c + a)], [[""]])[0][0] for c in CONTEXTS for a in CHOICES]
    ours = [value - end for value, end in zip((v for line in whole for v in line), ends, strict=True)]
    assert theirs == pytest.approx(ours, abs=1e-6)
    assert len({round(value, 3) for value in ours}) == len(ours)
