"""``clinprompt serve``: what is wrong is told in one paragraph before anything is loaded or listens."""

import socket

import pytest

from clinprompt.prompts.bank import PromptBank
from tests.made_backbones import tiny_folder


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "bank"),
        (("--bank", "nowhere"), "nowhere"),
        (("--bank", "notes"), "bank"),
        (("--bank", "bank", "--host", "0.0.0.0"), "keys"),
        (("--bank", "bank", "--keys", "nokeys.json"), "nokeys.json"),
        (("--bank", "bank", "--port", "70000"), "65535"),
        (("--bank", "bank", "--decoding", "beams"), "beams"),
        (("--bank", "bank", "--set", "limits.row=3"), "rows"),
        (("--bank", "bank", "--engine", "openai"), "checkpoint"),
    ],
)
def test_what_is_wrong_is_told(clinprompt, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    PromptBank(tmp_path / "bank").add([])
    ended = clinprompt("serve", "-b", "tiny", *options)
    assert ended.code == 2 and words in ended.err and ended.err.count("error:") == 1, ended.err


def test_a_port_that_is_taken_is_told(clinprompt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PromptBank(tmp_path / "bank").add([])
    tiny_folder(tmp_path / "tiny")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = clinprompt("serve", "-b", "tiny", "--bank", "bank", "--port", port)
    assert ended.code == 2 and f"127.0.0.1:{port}" in ended.err and "--port" in ended.err
