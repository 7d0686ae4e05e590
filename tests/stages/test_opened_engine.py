"""Notes through another engine: the same files as with ours, and who says what when something does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from clinprompt.errors import InputError
from clinprompt.inference.checkpoint import open_checkpoint
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.stages.adapted import open_prompt
from clinprompt.stages.configs import BackboneSettings, DecodingSettings, EngineSettings, PredictSettings
from clinprompt.stages.opened_engine import open_engine, read_engine_key
from clinprompt.stages.predict import predict
from tests.inference.engines.conftest import checkpoint, running, server, url  # noqa: F401 (fixtures)
from tests.made_backbones import change_json, tiny_folder

NOTES = {"n1": "MEDICATIONS: aspirin 81 mg PO daily.", "n2": "Denies pain.\n\n<eos> " + "takes warfarin 5 mg. " * 30}


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    for name, text in NOTES.items():
        (tmp_path / "notes" / f"{name}.txt").write_text(text)
    return tmp_path / "notes"


@pytest.mark.parametrize("named", [True, False])
def test_predictions_are_those_of_our_engine(named, checkpoint, server, url, notes, tmp_path):  # noqa: F811
    """Prompts by their names in the checkpoint, or as files; long notes in windows, too."""
    common = dict(notes=notes, answer_tokens=16, window=200)
    free = DecodingSettings(grounded=False)
    backbone = BackboneSettings(path=str(checkpoint.folder.parent / "tiny"))
    files = (checkpoint.files[0], checkpoint.files[2])
    ours = PredictSettings(
        **common, prompts=files, out=tmp_path / "a.jsonl", writer="jsonl", backbone=backbone, decoding=free
    )
    local = predict(ours)
    prompts = (Path("medications"), Path("lab-flag@1")) if named else files
    engine = EngineSettings(kind="openai", url=url, checkpoint=checkpoint.folder)
    theirs = PredictSettings(**common, prompts=prompts, out=tmp_path / "b.jsonl", writer="jsonl", engine=engine)
    there = predict(theirs)
    mine, other = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in ("a.jsonl", "b.jsonl")
    )
    provenance = [one.pop("provenance") for one in (*mine, *other)]
    assert mine == other and len(mine) == 2
    assert (there.decoding, there.windows, there.spans) == (local.decoding, local.windows, local.spans)
    assert there.unconstrained and not there.remarks and there.grounding == local.grounding
    said = provenance[-1]
    assert said["engine"] == "openai" and said["questions"] == "token ids" and len(said["checkpoint"]) == 64
    assert [one["prompt"] for one in said["prompts"]] == ["medications", "lab-flag"]
    assert all(("sha256" in one) is not named for one in said["prompts"])


def test_a_prompt_that_the_checkpoint_does_not_hold(checkpoint, server, url, tmp_path):  # noqa: F811
    opened = checkpoint.engine(url)
    with pytest.raises(InputError, match=r"no prompt named 'labs'.*Allowed: medications@1, impression@1, lab-flag@1"):
        open_prompt(Path("labs"), opened)
    assert open_prompt(Path("medications"), opened).vectors.is_meta
    card = load_prompt(checkpoint.files[0]).card
    with pytest.raises(InputError, match="no prompt named 'medications@2'"):
        opened.checkpoint.check_same(card.model_copy(update={"version": 2}), where="p")
    for change, words in (
        ({"placement": "prefix"}, "its placement differs"),
        ({"backbone": card.backbone.model_copy(update={"fingerprint": "0" * 16})}, "prompts do not carry over"),
    ):
        prompt = load_prompt(checkpoint.files[0])
        object.__setattr__(prompt, "card", card.model_copy(update=change))
        with pytest.raises(InputError, match=words):
            opened.check(prompt, where="p")
    with pytest.raises(InputError, match="nothing can be trained"):
        opened.suited("mpt", [])


def test_folders_that_are_no_checkpoint(checkpoint, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match=r"no prompts\.json"):
        open_checkpoint(tiny_folder(tmp_path / "tiny"))
    words = shutil.copytree(checkpoint.folder, tmp_path / "words", ignore=shutil.ignore_patterns("*.safetensors*"))
    assert open_checkpoint(words).backbone.max_tokens == 2048  # the weights are not needed
    for name, said in (("tokenizer.json", "does not know the tokens"), ("config.json", "cannot be opened")):
        folder = shutil.copytree(words, tmp_path / name)
        shutil.copyfile(tmp_path / "tiny" / name, folder / name) if "tok" in name else (folder / name).unlink()
        with pytest.raises(InputError, match=said):
            open_checkpoint(folder)
    found = json.loads((words / "prompts.json").read_text())
    change_json(words / "prompts.json", backbone={**found["backbone"], "fingerprint": "0" * 16})
    with pytest.raises(InputError, match="belongs to another backbone"):
        open_checkpoint(words)


def test_settings_that_belong_together(checkpoint, tmp_path):  # noqa: F811
    with pytest.raises(ValidationError, match="--checkpoint DIR"):
        EngineSettings(kind="openai")
    with pytest.raises(ValidationError, match="give `--engine openai`"):
        EngineSettings(url="http://127.0.0.1:1/v1")
    given = EngineSettings(kind="openai", checkpoint=checkpoint.folder, url="http://127.0.0.1:1/v1")
    with pytest.raises(InputError, match=r"backbone\.path is for the local engine"):
        open_engine(given, BackboneSettings(path="embedded"))
    with pytest.raises(InputError, match="there is no engine at this address"):
        open_engine(given, BackboneSettings())


def test_the_key_is_read_and_never_told(checkpoint, server, url, tmp_path, monkeypatch):  # noqa: F811
    server.key = "hush-123"
    with pytest.raises(InputError, match="asks for a key"):
        checkpoint.engine(url)
    (tmp_path / "key").write_text("wrong\n")
    with pytest.raises(InputError, match="does not accept the key"):
        checkpoint.engine(url, key_file=tmp_path / "key")
    (tmp_path / "key").write_text(" hush-123\n")
    assert "hush" not in repr(checkpoint.engine(url, key_file=tmp_path / "key").backbone.computing)
    monkeypatch.setenv("CLINPROMPT_ENGINE_KEY", "hush-123")
    assert checkpoint.engine(url).engine.scores
    base = dict(kind="openai", checkpoint=checkpoint.folder)
    for content, words in ((b"", "holds no key"), (b"a b", "one word"), ("ключ".encode(), "cannot be read")):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_engine_key(EngineSettings(**base, key_file=tmp_path / "key"))


def test_a_remote_engine_is_named(checkpoint, server, url):  # noqa: F811
    opened = checkpoint.engine(url)
    opened.engine.wire.url = "http://gpu-1:8000/v1"
    assert opened.remarks(DecodingSettings()) == ("notes were sent to gpu-1, not encrypted",)
