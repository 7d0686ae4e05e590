"""What runs the server elsewhere takes no right that it does not need: Dockerfile, compose file, unit of systemd."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess

import yaml

from clinprompt.cli.main import POSTURE
from tests.house.sources import REPOSITORY
from tests.house.test_commands import known_options


def instructions():
    """The instructions of the Dockerfile in their order: keyword and the rest."""
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def checked_command(words):
    """A command of clinprompt whose options all exist, without its values."""
    assert {word for word in words if word.startswith("--")} <= known_options(words)
    return words


def test_the_image_is_built_of_a_bundle_and_asks_no_network():
    found = instructions()
    bases = [rest for word, rest in found if word == "FROM"]
    assert bases == ["${BASE} AS build", "${BASE}"]
    [base] = [rest for word, rest in found if word == "ARG"]
    assert re.fullmatch(r"BASE=python:3\.\d+-slim-\w+", base)
    runs = [rest for word, rest in found if word == "RUN"]
    assert runs[0] == "python /bundle/install.pyz install /bundle --into /app"
    assert not re.search(r"\b(apt|apk|curl|wget|pip|git)\b", " ".join(runs))
    assert not [rest for word, rest in found if word == "ADD" or (word == "COPY" and "http" in rest)]


def test_the_image_runs_as_a_number_that_is_not_root_with_its_state_in_one_place():
    found = instructions()
    [user] = [rest for word, rest in found if word == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert [rest for word, rest in found if word == "VOLUME"] == ['["/data"]']
    [settings] = [dict(one.split("=", 1) for one in shlex.split(rest)) for word, rest in found if word == "ENV"]
    assert settings["HOME"] == settings["TMPDIR"] == "/tmp" and settings["PYTHONDONTWRITEBYTECODE"] == "1"
    told = {name: value for name, value in settings.items() if name in POSTURE}
    assert told == {name: POSTURE[name] for name in told} and "HF_HUB_OFFLINE" in told
    [health] = [rest for word, rest in found if word == "HEALTHCHECK"]
    assert "/readyz" in health and "ProxyHandler({})" in health
    compile(json.loads(health.partition("CMD ")[2])[-1], "HEALTHCHECK", "exec")
    order = [word for word, _ in found]
    assert order.index("USER") < order.index("ENTRYPOINT") < order.index("CMD")
    words = checked_command(json.loads(found[-1][1]))
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert all(given[one].startswith("/data/") for one in ("--keys", "--audit"))
    assert all(given[one].startswith("/app/") for one in ("--bank", "--backbone"))


def test_nothing_but_a_bundle_is_sent_to_docker():
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*" and set(lines[1:]) == {f"!{name}" for name in
        ("bundle.json", "install.pyz", "wheels", "backbone", "bank", "docs")}  # fmt: skip


def test_the_compose_file_gives_no_right_away():
    whole = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
    service = whole["services"]["clinprompt"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"] and "privileged" not in service
    [user] = [rest for word, rest in instructions() if word == "USER"]
    assert service["user"] == user
    assert all(whole["networks"][name] == {"internal": True} for name in service["networks"]) and "ports" not in service
    assert [one.rpartition(":")[2] for one in service["volumes"]] == ["/data"]
    assert {"noexec", "nosuid", "nodev"} <= set(service["tmpfs"][0].partition(":")[2].split(","))
    image = json.loads(instructions()[-1][1])
    assert checked_command(service["command"])[: len(image)] == image
    assert service["command"][len(image) :] == ["--allowed-host", "clinprompt"]


def test_the_unit_of_systemd_is_hardened(tmp_path):
    path = REPOSITORY / "examples" / "clinprompt.service"
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str
    unit.read_string(path.read_text(encoding="utf-8").replace("\\\n", " "))
    service = unit["Service"]
    wanted = {"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
              "PrivateTmp": "yes", "IPAddressDeny": "any", "IPAddressAllow": "localhost", "CapabilityBoundingSet": "",
              "RestrictNamespaces": "yes", "UMask": "0077"}  # fmt: skip
    assert {name: service[name] for name in wanted} == wanted
    words = shlex.split(service["ExecStart"])
    assert words[0] == "/srv/clinprompt/bin/clinprompt"
    checked_command(words[1:])
    if not shutil.which("systemd-analyze"):
        return
    shutil.copy(path, tmp_path)
    # Exposure is a tenth of the threshold: 0 is a service that can do nothing, 10 one that can do everything.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager"]
    judged = subprocess.run([*command, str(tmp_path / path.name)], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout[-500:] + judged.stderr
    read = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / path.name)], capture_output=True, text=True, check=False
    )
    faults = [line for line in read.stderr.splitlines() if path.name in line and "is not executable" not in line]
    assert not faults
