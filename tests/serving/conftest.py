"""A tiny backbone with a bank, and a server on them that tests share as long as they do not change the bank."""

import shutil

import httpx
import pytest

from clinprompt.prompts.bank import PromptBank
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import open_backbone
from tests.made_backbones import tiny_folder
from tests.made_servers import served, write_bank

BANK = {
    "meds": ("medications", "suffix"),
    "doses": ("dose-of-drug", "suffix"),
    "sum": ("impression", "suffix"),
    "flag": ("lab-flag", "suffix"),
    "first": ("medications", "prefix"),
    "conditions": ("condition-assertions", "suffix"),
    "assertion": ("assertion-of-condition", "suffix"),
}


@pytest.fixture(scope="session")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("served"), seed=7))))


@pytest.fixture(scope="session")
def bank(opened, tmp_path_factory):
    return write_bank(tmp_path_factory.mktemp("bank") / "bank", opened, BANK)


@pytest.fixture
def own(bank, tmp_path):
    """A bank of one test alone."""
    return PromptBank(shutil.copytree(bank, tmp_path / "bank"))


@pytest.fixture(scope="session")
def server(opened, bank):
    """A server and its address."""
    with served(bank, opened) as running:
        yield running


@pytest.fixture(scope="session")
def client(server):
    """A client of the shared server."""
    with httpx.Client(base_url=server[1], timeout=60, trust_env=False) as made:
        yield made
