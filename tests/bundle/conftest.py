from __future__ import annotations

from pathlib import Path

import pytest

from clinprompt.bundle.create import BundleSettings
from clinprompt.bundle.installer import zipped
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import open_backbone
from tests.made_backbones import tiny_folder
from tests.made_prompts import write_random_prompt


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with a tiny backbone and a bank of one prompt for it."""
    folder = tmp_path_factory.mktemp("models")
    opened = open_backbone(BackboneSettings(path=str(tiny_folder(folder / "tiny"))))
    file = write_random_prompt(folder / "meds.safetensors", opened, task="medications", placement="suffix")
    add_prompts(open_bank(folder / "bank"), [file], name="meds")
    return folder


@pytest.fixture
def settings(models, tmp_path):
    """Settings of a bundle without wheels, with changes."""

    def make(**changes):
        usual = {"out": tmp_path / "bundle.tar", "backbone": str(models / "tiny"), "bank": models / "bank"}
        return BundleSettings(**{**usual, "with_wheels": False, **changes})

    return make


def wheel(folder: Path, name: str, version: str, *, tag: str = "py3-none-any", lines: tuple[str, ...] = (), **files):
    """Write a wheel that holds next to nothing; ``files``: module name to source."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    told = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, ""])
    contents = {f"{name}/{module}.py": source.encode() for module, source in files.items()}
    contents |= {f"{info}/METADATA": told.encode(), f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n".encode()}
    contents[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in [*contents, f"{info}/RECORD"]).encode()
    path = folder / f"{name}-{version}-{tag}.whl"
    path.write_bytes(zipped(contents))
    return path
