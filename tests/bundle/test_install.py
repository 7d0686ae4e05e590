from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from clinprompt.bundle.create import create_bundle
from clinprompt.bundle.install import install_bundle
from clinprompt.bundle.installer import PARTS, installer
from clinprompt.bundle.manifest import BundleManifest, HeldWheel
from clinprompt.bundle.target import Target, default_target
from clinprompt.bundle.verify import verify_bundle
from clinprompt.bundle.wheel_file import read_wheel
from clinprompt.bundle.writing import write_bundle
from clinprompt.errors import InputError
from tests.bundle.conftest import wheel

MAIN = "import needed.there, sys; sys.stdout.write(f'{needed.there.WORD} {sys.argv[1:]} {sys.prefix}')"


def made(tmp_path, *, target=None, left_out=(), files=None):
    """A bundle with a clinprompt of two lines, which needs one other package."""
    shelf = tmp_path / "shelf"
    wheels = [wheel(shelf, "clinprompt", "9.9", lines=("Requires-Dist: needed",), __init__="", __main__=MAIN),
              wheel(shelf, "needed", "1.0", __init__="", there="WORD = 'hello'")]  # fmt: skip
    told = [read_wheel(path) for path in wheels]
    held = tuple(
        HeldWheel(one.path.name, one.name, one.version, one.licence) for one in told if one.name not in left_out
    )
    manifest = BundleManifest("9.9", target or default_target(), {}, left_out=left_out, wheels=held)
    contents = {f"wheels/{one.file}": shelf / one.file for one in held} | {"install.pyz": installer()} | (files or {})
    write_bundle(tmp_path / "b.tar", manifest, contents)
    return tmp_path / "b.tar"


def test_an_installed_bundle_runs_by_itself_and_where_it_is_moved_to(tmp_path, monkeypatch):
    bundle = made(tmp_path, files={"bank/bank.json": b"{}"})
    # What pip is told on this machine, and what lies where the program is called, changes nothing.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "needed").mkdir()
    (tmp_path / "needed" / "there.py").write_text("WORD = 'wrong'\n")
    done = install_bundle(bundle, tmp_path / "site")
    assert (tmp_path / "site" / "bank" / "bank.json").read_bytes() == b"{}"

    def said(program):
        ended = subprocess.run([program, "one", "two"], cwd=tmp_path, capture_output=True, text=True, check=True)
        return ended.stdout

    assert said(done.program) == f"hello ['one', 'two'] {tmp_path / 'site' / 'venv'}"
    pip = (tmp_path / "site" / "venv" / "bin" / "pip").read_text()
    assert pip.startswith(f"#!{tmp_path}/site/venv/bin/python") and ".part" not in pip
    (tmp_path / "site").rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(tmp_path / "moved" / "bin" / "clinprompt")
    assert said(tmp_path / "link").startswith("hello") and str(tmp_path / "moved") in said(tmp_path / "link")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


NOT_QUICK = pytest.param("no needed", marks=pytest.mark.slow)


@pytest.mark.parametrize("what", ["platform", "python", "left out", "changed", NOT_QUICK])
def test_what_cannot_be_installed_leaves_nothing(tmp_path, what):
    here = default_target()
    other = {"platform": Target("manylinux_2_99_x86_64", here.python), "python": Target(here.platform, "3.99")}.get(
        what
    )
    bundle = made(tmp_path, target=other, left_out=("needed",) if what in ("left out", "no needed") else ())
    if what == "changed":
        content = bundle.read_bytes()
        place = verify_bundle(bundle).places["wheels/needed-1.0-py3-none-any.whl"]
        bundle.write_bytes(content[: place.start + 60] + b"?" + content[place.start + 61 :])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        install_bundle(bundle, tmp_path / "site", system=what == "no needed")
    words = {"platform": "does not run here", "python": "Python 3.99", "left out": "--system",
             "changed": "is not the file that the manifest names", "no needed": "pip could not install"}  # fmt: skip
    assert words[what] in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_there_is_not_touched(tmp_path, settings):
    create_bundle(settings())
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine").write_text("kept")
    with pytest.raises(InputError, match="there already"):
        install_bundle(settings().out, tmp_path / "site")
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["mine"]


def test_a_bundle_changed_while_it_is_installed_is_refused(tmp_path, settings, monkeypatch):
    create_bundle(settings())
    checked = verify_bundle(settings().out)
    content = bytearray(settings().out.read_bytes())
    content[checked.places["bank/bank.json"].start] ^= 1
    settings().out.write_bytes(content)
    monkeypatch.setattr("clinprompt.bundle.install.verify_bundle", lambda *_, **__: checked)
    with pytest.raises(InputError, match="Nothing may write to it"):
        install_bundle(settings().out, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_too_little_room_is_told_before_anything_is_written(tmp_path, settings, monkeypatch):
    create_bundle(settings())
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Disk", (), {"free": 1000}))
    with pytest.raises(InputError, match="GiB on disk"):
        install_bundle(settings().out, tmp_path / "site")


def test_the_installer_needs_nothing_but_python(tmp_path, settings):
    create_bundle(settings())
    program = tmp_path / "install.pyz"
    program.write_bytes(installer())
    assert installer() == program.read_bytes()
    with zipfile.ZipFile(program) as archive:
        assert set(archive.namelist()) == {"__main__.py", *(f"clinprompt/{name}" for name in PARTS)}
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP"))}

    def run(*arguments):
        # -S: without the packages of this environment.
        command = [sys.executable, "-I", "-S", str(program), *map(str, arguments)]
        return subprocess.run(command, env=bare, capture_output=True, text=True, check=False)

    ended = run("verify", settings().out)
    assert ended.returncode == 0 and "all as the manifest says" in ended.stderr
    ended = run("install", settings().out, "--into", tmp_path / "site")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "site" / "bank" / "meds@1.safetensors").is_file() and not (tmp_path / "site" / "bin").exists()
    ended = run("install", settings().out, "--into", tmp_path / "site")
    assert ended.returncode == 2 and ended.stderr.startswith("error: the folder is there already")
