from __future__ import annotations

import json
import struct
import tomllib

import pytest

from clinprompt.backbones.published import PUBLISHED
from clinprompt.cli import doctor


def write_model(folder, *, vocabulary: int = 8) -> None:
    folder.mkdir()
    sizes = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
             "model_type": "llama", "intermediate_size": 4}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(sizes))
    (folder / "tokenizer.json").write_text("{}")
    entry = {"dtype": "F32", "shape": [vocabulary, 4], "data_offsets": [0, vocabulary * 16]}
    header = json.dumps({"__metadata__": {}, "model.embed_tokens.weight": entry}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(vocabulary * 16))


@pytest.fixture
def model(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    monkeypatch.setattr("clinprompt.backbones.loading.embedded_folder", lambda: folder)
    return folder


def test_the_report_is_complete_and_fits_json(clinprompt, model):
    write_model(model)
    ended = clinprompt("doctor", "--json")
    report = json.loads(ended.out)
    assert report["machine"]["cores"] >= 1 and report["machine"]["torch"]
    assert report["embedded"] == {"present": True, "parameters": 32, "fault": ""}
    assert [row["name"] for row in report["backbones"]] == ["embedded", *PUBLISHED]
    assert report["backbones"][0]["predict"] == "yes"
    assert report["switches"]["HF_HUB_OFFLINE"] == "1"
    assert ended.code == (2 if report["faults"] else 0)


def test_the_screen_says_the_same(clinprompt, model):
    write_model(model)
    screen = clinprompt("doctor").out
    for words in ("Python", "torch", "processor", "embedded", "Llama-3.1-8B", "gpt-oss-20b", "GiB"):
        assert words in screen


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda folder: None, "cannot be read"),
        (lambda folder: write_model(folder, vocabulary=9), "do not fit its config"),
        (lambda folder: (write_model(folder), (folder / "tokenizer.json").unlink()), "no tokenizer.json"),
        (
            lambda folder: (write_model(folder), (folder / "model.safetensors").write_bytes(b"\0")),
            "cannot be read",
        ),
    ],
)
def test_a_damaged_embedded_backbone_is_a_fault(clinprompt, model, damage, fault):
    damage(model)
    ended = clinprompt("doctor", "--json")
    assert ended.code == 2
    assert any(fault in line for line in json.loads(ended.out)["faults"])


def test_a_package_outside_its_range_is_a_fault(monkeypatch):
    wanted = ["numpy>=2.0", "torch>=999", "no-such-package>=1", 'ruff>=999; extra == "dev"']
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    report = doctor.examine()
    assert [row["ok"] for row in report["packages"]] == [True, False, False]
    assert {"name": "dev", "purpose": doctor.EXTRAS["dev"], "missing": ["ruff"]} in report["extras"]
    assert any(line.startswith("torch is") for line in report["faults"])
    assert any(line.startswith("no-such-package is missing") for line in report["faults"])


def test_every_extra_has_a_purpose(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == set(doctor.EXTRAS)


def test_what_fits_depends_on_the_memory_and_the_kind_of_device(model):
    def fits(memory, *, devices=()):
        machine = {"devices": [{"memory_bytes": size} for size in devices], "memory_bytes": memory}
        rows = {row["name"]: row for row in doctor._backbones(machine, {"fault": "none here"})}
        assert list(rows) == list(PUBLISHED)
        return [(rows[name]["predict"], rows[name]["train"]) for name in ("Llama-3.1-8B", "gpt-oss-20b")]

    assert fits(16e9) == [("no", "no")] * 2
    assert fits(64e9) == [("slow", "slow")] * 2
    assert fits(16e9, devices=[24e9, 80e9]) == [("yes", "yes")] * 2
    assert fits(999e9, devices=[24e9]) == [("yes", "yes"), ("no", "no")]
