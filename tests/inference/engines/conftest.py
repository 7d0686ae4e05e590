from __future__ import annotations

import pytest

from tests.made_engine import listening, made_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A checkpoint with three prompts of a tiny backbone."""
    pytest.importorskip("ctranslate2")
    return made_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def running(checkpoint):
    """A server of that checkpoint for all tests, and its address."""
    server = checkpoint.server()
    with listening(server.app) as url:
        yield server, url


@pytest.fixture
def server(running):
    """The server as at first, whatever a test has changed of it."""
    running[0].reset()
    yield running[0]
    running[0].reset()


@pytest.fixture
def url(running):
    return running[1]
