import pytest

from tests.made_backbones import tiny_backbone


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return tiny_backbone(tmp_path_factory.mktemp("tiny"), seed=5)
