"""``clinprompt doctor``: what is installed here, and what this machine can run."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import struct
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from clinprompt.cli.console import console

EXTRAS = {
    "bertscore": "the metric bert-score, with a model folder of your own",
    "cluster": "predictions and studies on a Ray cluster",
    "search": "learning rates of a study searched by Optuna",
    "dev": "tests, style checks and the scorers they compare with",
    "gguf": "backbones that lie in one GGUF file",
    "hub": "data sets of the Hugging Face library `datasets`",
    "quantised": "backbones whose frozen weights are kept in 8 or 4 bits",
}
"""Extra of the package: what it is for."""

_SWITCHES = (
    "HF_HUB_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
    "OMP_WAIT_POLICY",
    "OMP_NUM_THREADS",
)


def doctor() -> None:
    """Say what is installed here and what this machine can run."""
    report = examine()
    if console.json:
        console.result(report)
    else:
        _show(report)
    if report["faults"]:
        raise typer.Exit(2)


def examine() -> dict[str, Any]:
    """Everything the command reports, as plain values; ``faults`` lists what must be mended."""
    machine, embedded = _machine(), _embedded()
    packages, extras = _packages()
    faults = [
        f"{row['name']} is {row['installed'] or 'missing'}; wanted: {row['wanted']}"
        for row in packages
        if not row["ok"]
    ]
    faults += [embedded["fault"]] if embedded["fault"] else []
    return {
        "machine": machine,
        "packages": packages,
        "extras": extras,
        "embedded": embedded,
        "switches": {name: os.environ.get(name, "") for name in _SWITCHES},
        "backbones": _backbones(machine, embedded),
        "faults": faults,
    }


def _machine() -> dict[str, Any]:
    import torch

    from clinprompt.stages.environment import usable_cores, usable_memory

    devices = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        devices.append({"name": torch.cuda.get_device_name(index), "memory_bytes": total, "free_bytes": free})
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "torch_build": build if torch.version.cuda or torch.version.hip else "CPU",
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_bytes": usable_memory(),
        "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        "devices": devices,
    }


def _packages() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The required packages against their ranges, and the extras with what is missing of each."""
    from packaging.requirements import Requirement

    from clinprompt.stages.environment import installed_version

    try:
        wanted = [Requirement(text) for text in metadata.requires("clinprompt") or []]
    except metadata.PackageNotFoundError:
        note = "installed with pip (`make setup`); running from a source folder now"
        return [{"name": "clinprompt", "installed": None, "wanted": note, "ok": False}], []
    required, missing = [], {name: [] for name in EXTRAS}
    for need in wanted:
        version = installed_version(need.name)
        ok = version is not None and need.specifier.contains(version, prereleases=True)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            required.append({"name": need.name, "installed": version, "wanted": str(need.specifier) or "any", "ok": ok})
            continue
        for extra in EXTRAS:
            if need.marker.evaluate({"extra": extra}) and not ok:
                missing[extra].append(need.name)
    extras = [{"name": name, "purpose": EXTRAS[name], "missing": missing[name]} for name in EXTRAS]
    return required, extras


def _embedded() -> dict[str, Any]:
    """The backbone inside the package: found, complete and of the shape its config says."""
    from clinprompt.backbones.loading import embedded_folder

    folder, again = embedded_folder(), "install clinprompt again"
    found: dict[str, Any] = {"present": folder.is_dir(), "parameters": 0, "fault": ""}
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        shapes: dict[str, list[int]] = {}
        for file in sorted(folder.glob("*.safetensors")):
            shapes |= tensor_shapes(file)
        embedding = shapes["model.embed_tokens.weight"]
        if embedding != [config["vocab_size"], config["hidden_size"]]:
            found["fault"] = f"the embedded backbone's weights do not fit its config; {again}"
        if not (folder / "tokenizer.json").is_file():
            found["fault"] = f"the embedded backbone has no tokenizer.json; {again}"
    except (OSError, KeyError, ValueError, struct.error) as error:
        found["fault"] = f"the embedded backbone cannot be read ({type(error).__name__}); install clinprompt again"
        return found
    found["parameters"] = sum(math.prod(shape) for shape in shapes.values())
    return found


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Names and shapes of the tensors in a safetensors file, from its header only."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(min(length, file.stat().st_size)))
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def _backbones(machine: dict[str, Any], embedded: dict[str, Any]) -> list[dict[str, Any]]:
    """What each backbone needs in bfloat16 on the largest device, and whether it fits; more by `clinprompt check`."""
    import torch

    from clinprompt.backbones.loading import EMBEDDED, blueprint
    from clinprompt.backbones.memory import Work, estimate
    from clinprompt.backbones.published import PUBLISHED

    accelerator = bool(machine["devices"])
    memory = max((device["memory_bytes"] for device in machine["devices"]), default=machine["memory_bytes"])
    rows = []
    for name in [*([] if embedded["fault"] else [EMBEDDED]), *PUBLISHED]:
        model = blueprint(name)
        slow = not accelerator and sum(weight.numel() for weight in model.parameters()) > 1e9
        row: dict[str, Any] = {"name": name}
        for use in ("predict", "train"):
            need = estimate(
                model, Work(train=use == "train", batch=1, notes=1), dtype=torch.bfloat16, accelerator=accelerator
            )
            row |= {"weights_bytes": need.parts["weights"], f"{use}_bytes": need.total}
            row[use] = "no" if not need.fits(memory) else "slow" if slow else "yes"
        rows.append(row)
    return rows


def _show(report: dict[str, Any]) -> None:
    machine = report["machine"]
    rows = [
        ("Python", machine["python"]),
        ("platform", machine["platform"]),
        ("torch", f"{machine['torch']}, {machine['torch_build']} build, {machine['threads']} threads"),
        ("processor", f"{machine['cores']} cores, {_gib(machine['memory_bytes'])} memory"),
        ("disk", f"{_gib(machine['disk_free_bytes'])} free here"),
    ]
    rows += [
        ("device", f"{device['name']}, {_gib(device['memory_bytes'])}, {_gib(device['free_bytes'])} free")
        for device in machine["devices"]
    ] or [("device", "no accelerator")]
    embedded = report["embedded"]
    rows.append(("embedded", embedded["fault"] or f"{embedded['parameters'] / 1e6:.1f} M parameters, complete"))
    rows.append(("switches", "  ".join(f"{name}={value or '-'}" for name, value in report["switches"].items())))
    for extra in report["extras"]:
        missing = f"missing {', '.join(extra['missing'])}" if extra["missing"] else "present"
        rows.append((f"extra {extra['name']}", f"{missing}: {extra['purpose']}"))
    good = [f"{row['name']} {row['installed']}" for row in report["packages"] if row["ok"]]
    rows.append(("packages", f"{len(good)} of {len(report['packages'])} fit: {', '.join(good)}"))
    console.table(("", ""), rows)
    columns = ("backbone", "weights (bf16)", "predict needs", "fits", "training needs", "fits")
    table = [
        (row["name"], _gib(row["weights_bytes"]), _gib(row["predict_bytes"]), row["predict"],
         _gib(row["train_bytes"]), row["train"])
        for row in report["backbones"]
    ]  # fmt: skip
    console.table(
        columns,
        table,
        title="\nwhat this machine can run (one row of 1,024 tokens; other work: clinprompt check)",
    )
    for fault in report["faults"]:
        console.warn(fault)


def _gib(count: float) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 / 10 else f"{count / 1024**2:.1f} MiB"
