"""Small backbones of several families, opened in double precision, and the embedded one."""

from __future__ import annotations

import pytest

from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import open_backbone
from tests.made_backbones import tiny_folder


@pytest.fixture(scope="session")
def backbones(tmp_path_factory):
    """Settings and opened backbone by family, made when first asked for."""
    parent, made = tmp_path_factory.mktemp("backbones"), {}

    def get(family):
        if family not in made:
            path = family if family == "embedded" else str(tiny_folder(parent / family, family=family))
            settings = BackboneSettings(path=path, dtype="float64")
            made[family] = settings, open_backbone(settings)
        return made[family]

    return get
