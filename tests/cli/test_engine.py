"""``clinprompt predict --engine openai`` as a user types it, and what it says to mistakes."""

from __future__ import annotations

import json

import pytest

from tests.inference.engines.conftest import checkpoint, running, server, url  # noqa: F401 (fixtures)

CANARY = "Canarysson"


@pytest.fixture
def asked(clinprompt, checkpoint, url, tmp_path):  # noqa: F811
    """Runs the command on a note with an engine; more arguments may come last, and win."""
    (tmp_path / "n1.txt").write_text(f"{CANARY} takes aspirin 81 mg.")

    def call(*more):
        return clinprompt(
            "predict", str(tmp_path / "n1.txt"), "--engine", "openai", "--engine-url", url, "--checkpoint",
            str(checkpoint.folder), "-p", "medications", "--answer-tokens", "8", "-o", str(tmp_path / "out"), *more,
        )  # fmt: skip

    return call


def test_spans_come_from_the_engine(asked, server, tmp_path):  # noqa: F811
    ended = asked("--json")
    assert ended.code == 0 and CANARY not in ended.err
    assert "written freely and checked afterwards" in ended.err
    assert json.loads(ended.out)["grounding"] == {"checked": 1}
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["engine"] == "openai"
    assert server.asked[-1]["max_tokens"] == 8


def test_what_the_engine_cannot_do_is_said(asked, server):  # noqa: F811
    server.ids, server.scoring = False, ()
    ended = asked("--decoding", "choices")
    assert ended.code == 0
    said = " ".join(ended.err.split())
    assert "choices were written greedily" in said and "questions were sent as text" in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--engine-url", "http://127.0.0.1:9/v1"), "there is no engine at this address"),
        (("--engine-url", "http://192.0.2.7:8000/v1"), "--allow-remote if notes"),
        (("--engine-url", "http://me:hush@127.0.0.1/v1"), "give --engine-key FILE"),
        (("--engine-model", "none"), "no /completions for this model"),
        (("-p", "labs"), "no prompt named 'labs'"),
        (("--backbone", "embedded"), "Leave it out"),
        (("--checkpoint", "nowhere"), "clinprompt export --to prompt-tokens"),
        (("--engine", "local"), "give `--engine openai`"),
        (("--decoding", "beams"), "has no beams"),
    ],
)
def test_mistakes_are_one_paragraph(more, words, asked, server, tmp_path):  # noqa: F811
    server.only = "served"
    ended = asked(*more)
    said = " ".join(ended.err[ended.err.index("error: ") :].split())
    assert ended.code == 2 and words in said, said
    assert "Traceback" not in ended.err and CANARY not in ended.err and "hush" not in ended.err
    assert not (tmp_path / "out").exists()


def test_an_engine_that_fails_on_the_way_leaves_nothing(asked, server, tmp_path):  # noqa: F811
    server.breaks_after = 12
    ended = asked()
    said = " ".join(ended.err.split())
    assert ended.code == 2 and "refuses /completions (HTTP 500)" in said and CANARY not in ended.err
    assert not (tmp_path / "out").exists()
