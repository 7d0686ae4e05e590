import pytest

from tests.batch_runs import made_backbone, opened, write_lines


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A tiny backbone with its prompts."""
    return made_backbone(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny(models):
    """The backbone, loaded."""
    return opened(str(models / "tiny"))


@pytest.fixture
def notes(tmp_path):
    """Eleven notes in a file."""
    return write_lines(tmp_path / "notes.jsonl")
