import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from clinprompt.backbones import quantised
from clinprompt.backbones.loading import blueprint, load_backbone
from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.backbones.quantised import linear_weights, weight_bytes
from clinprompt.errors import InputError
from tests.made_backbones import change_json, tiny_folder

ROWS = [Row("a", tuple(range(10, 40)), (7,), (8, 9, 2)), Row("b", tuple(range(50, 60)), (7,), (6, 2))]
FP4 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
FP4 = torch.cat([FP4, -FP4])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("quantised") / "tiny", seed=5)


def outcome(backbone, placement=Placement.prefix):
    """Logits and prompt gradient of two rows with two prompts."""
    vectors = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(1)) * 0.3
    vectors.requires_grad_()
    notes = backbone.note_cache() if placement is Placement.suffix else None
    output = backbone.forward(ROWS, PromptVectors(vectors, placement), notes=notes)
    torch.nn.functional.cross_entropy(output.logits, output.targets).backward()
    return output.logits.detach(), vectors.grad


@pytest.mark.parametrize("weights", ["int8", "nf4"])
def test_without_its_package_the_extra_is_named(folder, weights, monkeypatch):
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"{quantised.WEIGHTS[weights]}.*not installed.*clinprompt\[quantised\]"):
        load_backbone(str(folder), weights=weights)


def test_an_unknown_kind_of_weights(folder):
    with pytest.raises(InputError, match="Allowed: full, int8, nf4"):
        load_backbone(str(folder), weights="int8-dynamic")


@pytest.mark.parametrize("weights", ["int8", "nf4"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_quantised_weights_act_as_the_numbers_they_stand_for_and_take_the_bytes_foretold(folder, weights, tmp_path):
    """Equal, in logits and prompt gradients, to the plain network with the rounded numbers written out."""
    pytest.importorskip(quantised.WEIGHTS[weights])
    backbone = load_backbone(str(folder), weights=weights)
    assert backbone.identity != load_backbone(str(folder)).identity  # states kept on disk are not shared with it
    tensors = load_file(folder / "model.safetensors")
    measured = 0
    rounded = {}
    for name, weight in backbone.model.named_parameters():
        if weights == "int8" and type(weight) is not torch.nn.Parameter:
            rounded[name] = weight.dequantize().float()
            measured += sum(part.nbytes for part in (weight.qdata, weight.scale, weight.zero_point))
        elif weights == "nf4" and hasattr(weight, "quant_state"):
            from bitsandbytes.functional import dequantize_4bit

            rounded[name] = dequantize_4bit(weight.data, weight.quant_state).float()
            measured += sum(part.nbytes for part in (weight, weight.quant_state.absmax, weight.quant_state.code))
        else:
            measured += weight.nbytes
    assert len(rounded) == len(linear_weights(blueprint(str(folder)))) == 3 * 7
    assert measured == weight_bytes(blueprint(str(folder)), weights=weights, dtype=torch.float32)
    assert not any(torch.equal(tensors[name], value) for name, value in rounded.items())
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    save_file(
        {name: value.contiguous() for name, value in (tensors | rounded).items()},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    for placement in (Placement.prefix, Placement.suffix):
        for ours, theirs in zip(
            outcome(backbone, placement), outcome(load_backbone(str(tmp_path)), placement), strict=True
        ):
            assert float(theirs.abs().max()) > 1e-3
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt-oss"])
def test_full_weights_take_the_bytes_of_the_dtype(tmp_path, family):
    folder = tiny_folder(tmp_path, family=family)
    for dtype in (torch.float32, torch.bfloat16):
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        assert weight_bytes(blueprint(str(folder)), weights="full", dtype=dtype) == sum(
            weight.nbytes for weight in loaded.parameters()
        )


@pytest.fixture
def mxfp4(tmp_path):
    """A tiny gpt-oss folder in the published MXFP4 layout, and its twin with the same numbers written out."""
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    E, H, inner = 4, 32, 64
    for folder in (packed, plain):
        tiny_folder(folder, family="gpt-oss", seed=2)
        change_json(folder / "config.json", intermediate_size=inner)
    change_json(packed / "config.json", quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": []})
    tensors = {"packed": load_file(packed / "model.safetensors"), "plain": load_file(plain / "model.safetensors")}
    draw = torch.Generator().manual_seed(3)
    for layer in range(3):
        experts = f"model.layers.{layer}.mlp.experts."
        for name, out, width in (("gate_up_proj", 2 * inner, H), ("down_proj", H, inner)):
            blocks = torch.randint(0, 256, (E, out, width // 32, 16), generator=draw, dtype=torch.uint8)
            scales = torch.randint(121, 125, (E, out, width // 32), generator=draw, dtype=torch.uint8)
            low, high = FP4[(blocks & 15).long()], FP4[(blocks >> 4).long()]
            numbers = torch.stack([low, high], dim=-1).flatten(-2) * 2.0 ** (scales.float() - 127)[..., None]
            tensors["plain"][experts + name] = numbers.flatten(-2).transpose(1, 2).contiguous()
            tensors["packed"] |= {f"{experts}{name}_blocks": blocks, f"{experts}{name}_scales": scales}
            del tensors["packed"][experts + name]
            for part in tensors.values():
                part[f"{experts}{name}_bias"] = 0.1 * torch.ones(E, out)
    for folder in (packed, plain):
        save_file(tensors[folder.name], folder / "model.safetensors", metadata={"format": "pt"})
    return packed, plain


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_mxfp4_files_are_written_out_and_the_prompt_gets_their_gradient(mxfp4, dtype):
    packed, plain = (load_backbone(str(folder), dtype=dtype) for folder in mxfp4)
    theirs = dict(plain.model.named_parameters())
    for name, weight in packed.model.named_parameters():
        assert weight.dtype is getattr(torch, dtype) and torch.equal(weight, theirs[name]), name
    assert packed.fingerprint != plain.fingerprint
    for ours, others in zip(outcome(packed), outcome(plain), strict=True):
        assert torch.equal(ours, others) and bool(others.any())
    assert weight_bytes(blueprint(str(mxfp4[0])), weights="full", dtype=packed.embeddings.dtype) == sum(
        weight.nbytes for weight in packed.model.parameters()
    )


def test_files_that_are_quantised_are_not_quantised_again(mxfp4):
    with pytest.raises(InputError, match=r"quantised already \(mxfp4\).*Allowed: weights full"):
        load_backbone(str(mxfp4[0]), weights="nf4")


def test_files_that_need_a_package_say_which(tmp_path):
    folder = tiny_folder(tmp_path / "tiny")
    change_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(InputError, match=r"needs a package that is not installed.*optimum"):
        load_backbone(str(folder))


def test_bytes_of_a_published_backbone():
    model = blueprint("Llama-3.1-8B")
    linear = sum(weight.numel() for weight in linear_weights(model))
    rest = 2 * 128_256 * 4096 * 2 + 65 * 4096 * 2  # embeddings, head and norms in bfloat16
    assert linear == 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14_336)
    nf4 = linear / 2 + linear / 16 + 32 * 7 * 64
    assert weight_bytes(model, weights="nf4", dtype=torch.bfloat16) == math.ceil(nf4) + rest
