"""Tiny backbones and what is adapted on them, made once when first asked for."""

import pytest

from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.example import TaskKind
from clinprompt.stages.adapt import adapt
from clinprompt.stages.configs import (
    AdaptSettings,
    BackboneSettings,
)
from clinprompt.stages.importing import import_data
from clinprompt.stages.opened import open_backbone
from tests.encoder_methods import METHODS, PROMPT
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    notes = write_notes(folder / "notes")
    given = {"reader": "brat", "options": {}}
    import_data(notes, folder / "links", name="links", kind=TaskKind.relations, **given)
    for name in ("drugs", "meds", "doses"):
        import_data(notes, folder / name, name=name, kind=TaskKind.entities, instruction=f"List the {name}.", **given)
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("backbones")
    return {family: write_tiny(parent / family, family=family) for family in ("bert", "roberta")} | {
        "llama": tiny_folder(parent / "llama")
    }


@pytest.fixture(scope="session")
def backbones(folders):
    settings = {family: BackboneSettings(path=str(folder), head_width=8) for family, folder in folders.items()}
    return {family: (one, open_backbone(one)) for family, one in settings.items()}


@pytest.fixture(scope="session")
def adapted(data, backbones, tmp_path_factory):
    """The run of a method on a family, made when it is first asked for."""
    runs, made = tmp_path_factory.mktemp("runs"), {}

    def run(family, name):
        if (family, name) not in made:
            settings, opened = backbones[family]
            given = {"prompt": PROMPT, "targets": (data / "links", data / "meds")}
            made[family, name] = adapt(
                AdaptSettings(backbone=settings, method=METHODS[name], **given), runs=runs, opened=opened
            )
        return made[family, name]

    return run


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """A tiny decoder with a long context, in float64 so that equalities are not blurred by rounding."""
    folder = tiny_folder(tmp_path_factory.mktemp("decoder"), context=8192)
    return BackboneSettings(path=str(folder), dtype="float64")


@pytest.fixture(scope="session")
def opened(settings):
    return open_backbone(settings)
