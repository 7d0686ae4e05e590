from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from clinprompt.bundle import wheelhouse
from clinprompt.bundle.target import Target
from clinprompt.bundle.wheel_file import read_wheel
from clinprompt.bundle.wheelhouse import Wheelhouse, installed_pins, read_pins
from clinprompt.errors import InputError
from tests.bundle.conftest import wheel

LINUX = Target("manylinux_2_31_x86_64", "3.11")


@pytest.fixture
def shelf(tmp_path):
    """A folder of wheels as an index would have them."""
    shelf = tmp_path / "shelf"
    need = "Requires-Dist: {}".format
    wheel(shelf, "a", "1.0", lines=(need("b>=1"), need('for_mac; sys_platform == "darwin"'), need("c[fast]")))
    wheel(shelf, "b", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64", lines=(need('old; python_version < "3.11"'),))
    wheel(shelf, "b", "1.5", tag="cp39-abi3-manylinux_2_31_x86_64")
    wheel(shelf, "b", "1.5", tag="cp39-abi3-macosx_11_0_arm64")
    wheel(shelf, "b", "2.0", tag="cp311-cp311-manylinux_2_34_x86_64")
    wheel(shelf, "c", "1.0", lines=("Provides-Extra: fast", need('d; extra == "fast"'), need('e; extra == "slow"')))
    wheel(shelf, "d", "1.0", lines=(need("a"),))
    wheel(shelf, "for_mac", "1.0")
    return shelf


@pytest.fixture
def pip(monkeypatch):
    """Stands in for pip, which takes a second each time: the newest wheel of the source that fits."""

    def asked(command, *arguments):
        given = dict(pairwise(arguments))
        platforms = [after for before, after in pairwise(arguments) if before == "--platform"]
        source, folder = Path(given["--find-links"]), Path(given["--dest"])
        assert command == "download" and "--no-deps" in arguments and "--no-index" in arguments
        for need in map(Requirement, arguments[arguments.index(str(source)) + 1 :]):
            held = [one for one in map(read_wheel, source.glob("*.whl")) if one.name == need.name]
            fits = [one for one in held if one.version in need.specifier
                    and any(tag.platform in ("any", *platforms) for tag in one.tags)]  # fmt: skip
            if not fits:
                return f"No matching distribution found for {need}"
            best = max(fits, key=lambda one: Version(one.version)).path
            shutil.copy(best, folder)
        return ""

    monkeypatch.setattr(wheelhouse, "_pip", asked)


@pytest.fixture
def filled(tmp_path, shelf):
    """What a wheelhouse gets, as name and version."""

    def fill(target=LINUX, *, needs=("a",), extras=(), pins=None, without=()):
        lines = (
            *(f"Requires-Dist: {need}" for need in needs),
            "Provides-Extra: more",
            'Requires-Dist: d; extra == "more"',
        )
        own = wheel(tmp_path / "house", "clinprompt", "9.9", lines=lines)
        house = Wheelhouse(tmp_path / "house", target, pins=pins or {}, source=shelf, without=without)
        return [f"{one.name} {one.version}" for one in house.filled(own, extras=extras)]

    return fill


def test_all_that_is_needed_on_the_target_comes_from_pip_and_nothing_else(filled):
    assert filled() == ["a 1.0", "b 1.5", "c 1.0", "clinprompt 9.9", "d 1.0"]


def test_conditions_are_those_of_the_target_and_not_of_this_machine(filled, pip):
    mac = Target("macosx_14_0_arm64", "3.12")
    assert filled(mac) == ["a 1.0", "b 1.5", "c 1.0", "clinprompt 9.9", "d 1.0", "for-mac 1.0"]


def test_pins_extras_and_what_is_left_out(filled, pip):
    assert filled(needs=["b"], pins={"B": "1.0"}) == ["b 1.0", "clinprompt 9.9"]
    assert filled(needs=["b"], extras=["more"], without=["A"]) == ["b 1.5", "clinprompt 9.9", "d 1.0"]


def test_a_wheel_that_is_not_to_be_had_is_named(filled, pip):
    with pytest.raises(InputError) as caught:
        filled(needs=["a", "b>=2"])
    assert "there is no wheel of b>=2 for manylinux_2_31_x86_64 and Python 3.11" in str(caught.value)
    assert "--skip-wheels" in str(caught.value)
    with pytest.raises(InputError, match="no extra 'mroe'"):
        filled(extras=["mroe"])


def test_versions_that_do_not_agree_are_refused(filled, shelf, pip):
    wheel(shelf, "late", "1.0", lines=("Requires-Dist: b<1.5",))
    wheel(shelf, "first", "1.0", lines=("Requires-Dist: late",))
    with pytest.raises(InputError, match=r"b 1\.5 is not within"):
        filled(needs=["b", "first"])


def test_pins_are_read_and_other_lines_refused(tmp_path):
    path = tmp_path / "constraints.txt"
    path.write_text("# versions\na==1.0\nB_c==2.0  # why\n\n")
    assert read_pins(path) == {"a": "1.0", "B_c": "2.0"}
    path.write_text("a==1.0\nb>=2\n")
    with pytest.raises(InputError, match="line 2"):
        read_pins(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_pins(tmp_path / "none")
    pins = installed_pins()
    assert "torch" in pins and "+" not in pins["torch"]


def test_licences_are_told_in_one_line(tmp_path):
    def licence(*lines):
        return read_wheel(wheel(tmp_path / "w", "x", "1.0", lines=lines)).licence

    assert licence("License-Expression: MIT", "License: other") == "MIT"
    assert licence("License: x", "Classifier: License :: OSI Approved :: BSD License") == "BSD License"
    assert licence("License: Apache-2.0") == "Apache-2.0"
    assert licence(f"License: {'long ' * 40}") == licence() == "not stated"
    (tmp_path / "w" / "y-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match="cannot be read"):
        read_wheel(tmp_path / "w" / "y-1.0-py3-none-any.whl")
