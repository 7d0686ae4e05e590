"""The whole way with real wheels: a bundle is made, carried, installed and run where there is no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.offline.test_refused import ROOT, bank, without_devices  # noqa: F401 (the bank is a fixture)


@pytest.mark.slow
@pytest.mark.network
def test_a_bundle_with_all_wheels_runs_without_a_network(bank, tmp_path):  # noqa: F811
    """Asks pip's index for the wheels; minutes, and 2 GB of disk."""
    create = [sys.executable, "-m", "clinprompt", "bundle", "create", "all.tar", "--bank", str(bank), "--docs"]
    made = subprocess.run(create, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    python = shutil.which(f"python3.{sys.version_info.minor}") or sys.executable
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "nowhere"), "OMP_NUM_THREADS": "1"}

    def alone(*command):
        return subprocess.run(
            [*without_devices(), *command], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
        )

    unpacked = subprocess.run(["tar", "-xOf", "all.tar", "install.pyz"], cwd=tmp_path, capture_output=True, check=True)
    (tmp_path / "install.pyz").write_bytes(unpacked.stdout)
    ended = alone(python, "install.pyz", "install", "all.tar", "--into", "site")
    assert ended.returncode == 0, ended.stderr
    program = str(tmp_path / "site" / "bin" / "clinprompt")
    doctor = alone(program, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    ended = alone(
        program, "predict", str(ROOT / "examples" / "new-notes"), "--backbone", "site/backbone", "--prompt",
        "site/bank:meds", "--answer-tokens", "2", "--out", "found",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "found").glob("*.ann"))) == 6
