from __future__ import annotations

import json

import pytest

from tests.bundle.conftest import models  # noqa: F401 (a backbone and a bank as a fixture)


@pytest.fixture
def made(clinprompt, models, tmp_path):  # noqa: F811
    """Makes a bundle without wheels on the command line."""

    def make(*more):
        given = ("--backbone", str(models / "tiny"), "--bank", str(models / "bank"), "--no-wheels")
        return clinprompt("bundle", "create", str(tmp_path / "b.tar"), *given, *more)

    return make


def test_a_bundle_is_made_verified_and_installed(clinprompt, made, tmp_path):
    key = tmp_path / "bundle.key"
    key.write_text("5f" * 32 + "\n")
    ended = made("--key", str(key), "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["prompts"] == ["meds@1"] and len(told["sha256"]) == 64 and told["wheels"] == []
    ended = clinprompt("bundle", "verify", str(tmp_path / "b.tar"), "--key", str(key), "--json")
    found = json.loads(ended.out)
    assert (found["files"], found["signed"], found["checked"]) == (told["files"], True, True)
    assert "not checked: no --key given" in clinprompt("bundle", "verify", str(tmp_path / "b.tar")).err
    ended = clinprompt(
        "bundle", "install", str(tmp_path / "b.tar"), "--into", str(tmp_path / "site"), "--key", str(key)
    )
    assert ended.code == 0, ended.err
    for name, where in (("verify", "bank"), ("list", "bank")):
        assert clinprompt("bank", name, str(tmp_path / "site" / where)).code == 0
    assert (tmp_path / "site" / "backbone" / "config.json").is_file()


def test_faults_are_one_paragraph_with_what_to_do(clinprompt, made, tmp_path):
    ended = made("--platform", "win_amd64")
    assert ended.code == 2 and "no bundles for the platform 'win_amd64'" in ended.err and "manylinux_2_31" in ended.err
    assert made().code == 0
    assert "there already" in made().err
    content = bytearray((tmp_path / "b.tar").read_bytes())
    content[-2000] ^= 1
    (tmp_path / "b.tar").write_bytes(content)
    for command in (("verify", "b.tar"), ("install", "b.tar", "--into", str(tmp_path / "site"))):
        ended = clinprompt("bundle", command[0], str(tmp_path / command[1]), *command[2:])
        assert ended.code == 2 and "copy the bundle again" in ended.err.lower()
    assert not (tmp_path / "site").exists()
    ended = clinprompt("bundle", "verify", str(tmp_path / "none.tar"))
    assert ended.code == 2 and "there is no such bundle" in ended.err
