"""The induction start, training that can be interrupted, and the shipped folder."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from clinprompt.backbones.embedded import MODEL_FOLDER, checkpoint
from clinprompt.backbones.embedded.evaluation import SETTINGS, examine, held_out, instruction_following
from clinprompt.backbones.embedded.initialise import build_induction_heads
from clinprompt.backbones.embedded.pretrain import pretrain
from clinprompt.backbones.embedded.progress import CURVE, Progress
from clinprompt.backbones.embedded.size import Size
from clinprompt.errors import InputError

TINY = Size(
    vocabulary=400,
    hidden=32,
    layers=2,
    heads=2,
    feed_forward=48,
    batch_tokens=700,
    warm_up_steps=4,
    tokenizer_notes=60,
    sequences_at_a_time=40,
)


def llama(**changes: int) -> LlamaForCausalLM:
    sizes = {"vocab_size": 2048, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    config = LlamaConfig(**{**sizes, **heads, **changes}, tie_word_embeddings=True, rope_parameters=rope)
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def losses_of_a_repeat(model: LlamaForCausalLM, length: int) -> tuple[float, float]:
    draw = torch.Generator().manual_seed(2)
    once = torch.randint(10, model.config.vocab_size, (8, length), generator=draw)
    ids = torch.cat([once, once], dim=1)
    loss = cross_entropy(model(input_ids=ids[:, :-1]).logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return loss[:, : length - 1].mean().item(), loss[:, length:].mean().item()


def test_the_untrained_model_copies():
    model = llama()
    plain_first, plain_second = losses_of_a_repeat(model, 30)
    assert abs(plain_first - plain_second) < 0.3
    build_induction_heads(model, seed=3)
    first, second = losses_of_a_repeat(model, 30)
    assert second < first - 2.5


def test_the_start_depends_on_the_seed_only():
    models = [llama(), llama(), llama()]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        build_induction_heads(model, seed=seed)
    same, other = (
        all(torch.equal(a, b) for a, b in zip(models[0].parameters(), model.parameters(), strict=True))
        for model in models[1:]
    )
    assert same and not other


def test_shared_key_heads_are_refused():
    with pytest.raises(ValueError, match="key/value heads"):
        build_induction_heads(llama(num_key_value_heads=2), seed=1)


class Stop(Exception):
    """Breaks a run off."""


def weights(folder) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path):
    steps: list[Progress] = []
    plan = {"tokens": 14_000, "seed": 2, "size": TINY, "checkpoint_tokens": 3_000, "curve_tokens": 1_000}
    result = pretrain(tmp_path / "whole", report=steps.append, **plan)
    assert len(steps) > 15 and steps[-1].answer_loss < steps[0].answer_loss
    assert (result.tokens, result.folder) == (steps[-1].tokens, tmp_path / "whole")

    def stop_late(step: Progress) -> None:
        if step.tokens > 9_000:
            raise Stop

    with pytest.raises(Stop):
        pretrain(tmp_path / "broken", report=stop_late, **plan)
    assert (tmp_path / "broken" / checkpoint.FILE).exists()
    resumed: list[Progress] = []
    pretrain(tmp_path / "broken", report=resumed.append, **plan)
    assert 0 < len(resumed) < len(steps) and resumed[0].step > 1
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert not (tmp_path / "broken" / checkpoint.FILE).exists()

    curves = [
        [json.loads(line) for line in (tmp_path / name / CURVE).read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    points = [[(point["tokens"], point["answer_loss"], point["note_loss"]) for point in curve] for curve in curves]
    assert points[0] == points[1] and len(points[0]) > 8
    assert points[0][-1][:2] == (result.tokens, round(result.answer_loss, 4))

    card = json.loads((tmp_path / "whole" / "clinprompt.json").read_text())
    assert card["template"] == "markers" and card["tokens"] == result.tokens and card["seed"] == 2
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "whole")
    assert tokenizer.convert_ids_to_tokens(list(range(3))) == ["<pad>", "<bos>", "<eos>"]
    assert next(iter(whole.values())).dtype == torch.bfloat16


def test_another_run_leaves_a_checkpoint_alone(tmp_path):
    def stop(step: Progress) -> None:
        raise Stop

    plan = {"tokens": 14_000, "seed": 2, "size": TINY, "checkpoint_tokens": 1}
    with pytest.raises(Stop):
        pretrain(tmp_path, report=stop, **plan)
    with pytest.raises(InputError) as told:
        pretrain(tmp_path, report=stop, **{**plan, "tokens": 15_000})
    assert told.value.what.endswith("settings: tokens") and told.value.allowed == "tokens 14000"
    with pytest.raises(InputError, match="settings: size"):
        pretrain(tmp_path, report=stop, learning_rate=1e-3, **plan)


def test_other_seeds_give_other_notes():
    first, second = (held_out(site="A", instruction_first=False, n=3, seed=seed, reserved=0) for seed in (1, 2))
    assert [row.note.text for row in first] != [row.note.text for row in second]
    assert first[0].note.text == held_out(site="A", instruction_first=True, n=1, seed=1, reserved=0)[0].note.text


@pytest.fixture(scope="module")
def shipped():
    if not (MODEL_FOLDER / "model.safetensors").exists():
        pytest.skip("the embedded model is not in the package")
    model = AutoModelForCausalLM.from_pretrained(MODEL_FOLDER, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(MODEL_FOLDER)


def test_the_shipped_folder_is_small_and_plain(shipped):
    files = {path.name: path.stat().st_size for path in MODEL_FOLDER.iterdir()}
    assert sum(files.values()) < 10_000_000
    assert {"config.json", "model.safetensors", "generation_config.json", "clinprompt.json"} <= set(files)
    assert not {name for name in files if name.endswith((".py", ".bin", ".pt", checkpoint.FILE))}
    assert shipped[0].config.max_position_embeddings == 2048
    assert json.loads((MODEL_FOLDER / "clinprompt.json").read_text())["template"] == "markers"


@pytest.mark.parametrize(
    ("site", "instruction_first", "floor"), [("A", False, 0.5), ("A", True, 0.4), ("B", False, 0.3)]
)
def test_the_shipped_model_follows_held_out_instructions(shipped, site, instruction_first, floor):
    found = instruction_following(*shipped, site=site, instruction_first=instruction_first, n=100, seed=11)
    assert found["all"].n == 100
    assert found["all"].share > floor


def test_examine_asks_in_every_setting_and_refuses_other_folders(shipped, tmp_path):
    found = dict(examine(MODEL_FOLDER, n=8))
    assert list(found) == list(SETTINGS)
    assert all(shares["all"].n == 8 for shares in found.values())
    with pytest.raises(InputError, match="no folder of a pretrained embedded backbone"):
        next(examine(tmp_path, n=1))
