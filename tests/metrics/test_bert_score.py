from __future__ import annotations

import sys

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.schema.example import Answer

from .made import gold

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "patient", "denies", "chest", "pain", "no", "fever"]
TRUE, SAID = "the patient denies chest pain", "no chest pain"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("bert_score", reason="the extra bertscore is not installed")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(path / "vocab.txt"), model_max_length=32).save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(path)
    return path


def value(metric, truth, said):
    return float(metric.value(metric.counts(gold(Answer(text=truth)), Answer(text=said))))


def test_it_is_the_greedy_cosine_matching_of_the_definition(folder):
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(folder).eval()

    def vectors(text):
        ids = torch.tensor([[2, *(WORDS.index(word) for word in text.split()), 3]])
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states[1][0]
        return torch.nn.functional.normalize(states, dim=-1)

    alike = vectors(SAID) @ vectors(TRUE).T  # [said, true], markers of begin and end among them
    precision, recall = (alike.max(dim=axis).values[1:-1].mean() for axis in (1, 0))
    expected = float(2 * precision * recall / (precision + recall))
    assert value(METRICS[f"bert-score:{folder}@1"](), TRUE, SAID) == pytest.approx(100 * expected, abs=1e-3)


def test_the_same_text_is_100_and_no_text_is_0(folder):
    metric = METRICS[f"bert-score:{folder}@2"]()
    assert metric.name == f"bert-score:{folder}@2"
    assert value(metric, TRUE, TRUE) == pytest.approx(100, abs=1e-3)
    assert value(metric, TRUE, " ") == value(metric, TRUE, None) == 0


def test_what_is_missing_is_said(folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="needs the folder of a model"):
        METRICS["bert-score"]()
    with pytest.raises(InputError, match="no model in this folder"):
        METRICS[f"bert-score:{tmp_path}@3"]()
    with pytest.raises(InputError, match="which layer"):
        METRICS[f"bert-score:{folder}"]()
    monkeypatch.setitem(sys.modules, "bert_score", None)
    with pytest.raises(InputError) as refused:
        METRICS[f"bert-score:{folder}@1"]()
    assert "clinprompt[bertscore]" in str(refused.value)
