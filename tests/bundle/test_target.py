from __future__ import annotations

import platform
import sys

import pytest
from packaging.tags import mac_platforms

from clinprompt.bundle.target import Target, default_target
from clinprompt.errors import InputError


def test_platforms_of_linux_are_those_of_all_older_standards():
    names = Target("manylinux_2_31_x86_64", "3.11").platforms
    assert names[0] == "manylinux_2_31_x86_64" and "manylinux2014_x86_64" in names and "manylinux_2_17_x86_64" in names
    assert "manylinux_2_32_x86_64" not in names and len(names) == 27 + 3 + 1


def test_platforms_of_macos_are_among_those_of_packaging():
    mine, theirs = Target("macosx_14_0_arm64", "3.12").platforms, list(mac_platforms((14, 0), "arm64"))
    assert {one for one in mine if "macosx_1" in one and "_10_" not in one} <= set(theirs)
    assert {"macosx_14_0_arm64", "macosx_11_0_universal2"} <= set(mine)


@pytest.mark.parametrize("given", [("win_amd64", "3.11"), ("manylinux_2_31_x86_64", "3.10"), ("linux", "3.11"),
                                   ("manylinux_2_31_x86_64", "3.11.2"), ("manylinux_2_31_x86_64", "2.7")])  # fmt: skip
def test_other_targets_are_refused(given):
    with pytest.raises(InputError, match="no bundles for"):
        Target(*given)


def refused(target):
    with pytest.raises(InputError, match="does not run here") as caught:
        target.check_here(where="b.tar")
    return str(caught.value)


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="not Linux")
def test_this_machine_is_a_target_and_others_are_not():
    here = default_target()
    here.check_here(where="b.tar")
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
    assert f"it is for Linux on {other}" in refused(Target(f"manylinux_2_31_{other}", here.python))
    assert "it is for Darwin on arm64" in refused(Target("macosx_14_0_arm64", here.python))
    assert "it needs glibc 2.99 or newer" in refused(Target(f"manylinux_2_99_{platform.machine()}", here.python))
    message = refused(Target(here.platform, "3.99"))
    assert "it is for Python 3.99" in message and "with python3.99" in message and "--platform" in message
