import pytest
import torch
from safetensors.torch import load_file, save_file

from clinprompt.errors import InputError
from clinprompt.maths.decomposition import TaskFactors
from clinprompt.prompts import prompt_file
from clinprompt.prompts.prompt_file import (
    Metaprompt,
    SoftPrompt,
    load_metaprompt,
    load_prompt,
    read_card,
    save_metaprompt,
    save_prompt,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bank" / "medications.safetensors"


@pytest.fixture
def metaprompt(card, vectors):
    factors = {name: TaskFactors(torch.randn(4, 2), torch.randn(2, 6)) for name in card.tasks}
    return Metaprompt(vectors, factors, card)


def test_a_prompt_comes_back_bit_for_bit_with_its_card(path, card, vectors, identity):
    save_prompt(path, SoftPrompt(vectors.requires_grad_(), card))
    found = load_prompt(path, backbone=identity)
    assert torch.equal(found.vectors, vectors) and not found.vectors.requires_grad
    assert found.card == card and read_card(path) == card


def test_vectors_are_kept_in_float32_whatever_they_were(path, card, vectors):
    save_prompt(path, SoftPrompt(vectors.double().T.contiguous().T, card))
    found = load_prompt(path).vectors
    assert found.dtype is torch.float32 and torch.equal(found, vectors)


def test_a_metaprompt_comes_back_with_every_factor_pair_in_the_order_of_its_tasks(path, metaprompt, identity):
    save_metaprompt(path, metaprompt)
    found = load_metaprompt(path, backbone=identity)
    assert torch.equal(found.vectors, metaprompt.vectors) and found.card == metaprompt.card
    assert list(found.factors) == list(metaprompt.card.tasks)
    for name, pair in metaprompt.factors.items():
        assert torch.equal(found.factors[name].rows, pair.rows) and torch.equal(found.factors[name].cols, pair.cols)


def test_a_failing_save_leaves_the_old_file_and_nothing_else(path, card, vectors, monkeypatch):
    save_prompt(path, SoftPrompt(vectors, card))
    before = path.read_bytes()

    def half(tensors, part, **_):
        part.write_bytes(b"half of a file")
        raise OSError("the disk is full")

    monkeypatch.setattr(prompt_file, "save_file", half)
    with pytest.raises(OSError, match="disk"):
        save_prompt(path, SoftPrompt(vectors + 1, card))
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_whoever_is_reading_the_old_file_goes_on_reading_it_whole(path, card, vectors):
    save_prompt(path, SoftPrompt(vectors, card))
    before = path.read_bytes()
    with path.open("rb") as file:
        save_prompt(path, SoftPrompt(vectors + 1, card))
        assert file.read() == before
    assert torch.equal(load_prompt(path).vectors, vectors + 1)


def refused(path, load=load_prompt, **options) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("load", [load_prompt, load_metaprompt, read_card])
def test_files_of_another_kind(path, vectors, load, tmp_path):
    assert "no prompt file" in refused(path, load)
    assert "no prompt file" in refused(tmp_path, load)
    path.parent.mkdir()
    path.write_bytes(b"PK\x03\x04 this is a zip")
    assert "not a clinprompt prompt file" in refused(path, load)
    save_file({"vectors": vectors}, path)  # safetensors, but no card
    assert "not a clinprompt prompt file" in refused(path, load)
    save_file({"vectors": vectors}, path, metadata={"card": '{"name": "x"}'})
    assert "not a clinprompt prompt file" in refused(path, load)


def test_a_truncated_prompt(path, card, vectors):
    save_prompt(path, SoftPrompt(vectors, card))
    path.write_bytes(path.read_bytes()[:-10])
    assert "not a clinprompt prompt file" in refused(path)


def test_a_card_of_a_later_format(path, card, vectors):
    save_prompt(path, SoftPrompt(vectors, card.model_copy(update={"format": 99})))
    message = refused(path)
    assert "format 99" in message and "Allowed: format 1" in message


def test_a_file_without_vectors(path, card, vectors):
    path.parent.mkdir()
    save_file({"other": vectors}, path, metadata={"card": card.model_dump_json()})
    assert "lacks the tensor 'vectors'" in refused(path)


def test_a_metaprompt_without_the_factors_of_a_task(path, metaprompt):
    save_metaprompt(path, metaprompt)
    tensors = load_file(path)
    del tensors["cols/impression"]
    save_file(tensors, path, metadata={"card": metaprompt.card.model_dump_json()})
    assert "lacks the factors of the source task impression" in refused(path, load_metaprompt)


def test_a_prompt_does_not_load_onto_another_backbone_or_tokenizer(path, card, vectors, identity):
    save_prompt(path, SoftPrompt(vectors, card))
    other = identity.model_copy(update={"fingerprint": "a" * 16, "name": "other"})
    message = refused(path, backbone=other)
    for shown in ("do not carry over", "f" * 16, "a" * 16, "clinprompt adapt"):
        assert shown in message
    words = identity.model_copy(update={"tokenizer": "b" * 16})
    message = refused(path, backbone=words)
    assert "t" * 16 in message and "b" * 16 in message
    renamed = identity.model_copy(update={"name": "the same in another folder"})
    assert torch.equal(load_prompt(path, backbone=renamed).vectors, vectors)
