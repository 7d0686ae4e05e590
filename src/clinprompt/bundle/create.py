"""Makes a bundle: wheels for a named machine, a backbone, a bank, documents, and a program that installs them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import Field

import clinprompt
from clinprompt.backbones.fingerprint import folder_fingerprint, tokenizer_fingerprint
from clinprompt.backbones.loading import EMBEDDED, check_safetensors, resolve
from clinprompt.bundle.installer import installer
from clinprompt.bundle.manifest import INSTALLER, BundleManifest, HeldBackbone, HeldWheel, holds_file
from clinprompt.bundle.own_wheel import checkout, own_wheel
from clinprompt.bundle.target import Target, default_target
from clinprompt.bundle.wheel_file import Wheel
from clinprompt.bundle.wheelhouse import Wheelhouse, installed_pins, read_pins
from clinprompt.bundle.writing import Content, write_bundle
from clinprompt.errors import InputError, raise_all
from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.card import BackboneIdentity
from clinprompt.prompts.fit import check_backbone
from clinprompt.prompts.manifest import FILE as BANK_FILE
from clinprompt.prompts.manifest import manifest_content
from clinprompt.prompts.signature import read_key
from clinprompt.stages.banked import open_bank
from clinprompt.stages.methods import Settings

DOCUMENTS = ("README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "Dockerfile", "compose.yaml", "constraints.txt")
"""Files of a checkout that go with its folders ``docs`` and ``examples``."""

_TRIES = 3


class BundleSettings(Settings):
    """What goes into a bundle: see ``clinprompt bundle create --help``.

    ``key`` signs the bundle, ``bank_key`` is that of the bank. ``wheels`` is a folder to take wheels from in place of
    pip's index; ``skip_wheels`` are packages that the machine has; without ``with_wheels`` a bundle brings models only.
    """

    out: Path
    backbone: str = EMBEDDED
    bank: Path
    platform: str = Field(default_factory=lambda: default_target().platform)
    python: str = Field(default_factory=lambda: default_target().python)
    docs: bool = False
    extras: tuple[str, ...] = ()
    with_wheels: bool = True
    skip_wheels: tuple[str, ...] = ()
    wheels: Path | None = None
    constraints: Path | None = None
    key: Path | None = None
    bank_key: Path | None = None


def create_bundle(settings: BundleSettings, *, say: Callable[[str], None] = lambda text: None) -> BundleManifest:
    """Write the bundle of these settings and give its manifest; ``say`` hears what is being done.

    Raises :class:`InputError` for a backbone or bank that cannot be used, a bank without a prompt for the backbone, a
    package without a wheel for the target, and an ``out`` that is there already.
    """
    target = Target(settings.platform, settings.python)
    key = read_key(settings.key) if settings.key else None
    if settings.out.exists() and (settings.out.is_file() or any(settings.out.iterdir())):
        raise InputError("this is there already", where=str(settings.out), fix="choose another name")
    contents: dict[str, Content] = {INSTALLER: installer()}
    folder = resolve(settings.backbone)
    say(f"reading the backbone {settings.backbone}")
    contents |= {f"backbone/{path.name}": path for path in backbone_files(folder)}
    held = HeldBackbone(
        EMBEDDED if settings.backbone == EMBEDDED else Path(settings.backbone).name,
        folder_fingerprint(folder), tokenizer_fingerprint(folder),
    )  # fmt: skip
    say(f"reading the bank {settings.bank}")
    prompts, files = bank_files(open_bank(settings.bank, key=settings.bank_key), held)
    contents |= {f"bank/{name}": content for name, content in files.items()}
    if settings.docs:
        contents |= {f"docs/{name}": path for name, path in documents().items()}
    manifest = BundleManifest(
        clinprompt=clinprompt.__version__, target=target, files={}, backbone=held, prompts=prompts,
        extras=settings.extras, left_out=tuple(sorted(settings.skip_wheels)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="clinprompt-wheels-") as folder_of_wheels:
        if settings.with_wheels:
            wheels = _wheels(settings, target, Path(folder_of_wheels), say)
            contents |= {f"wheels/{one.path.name}": one.path for one in wheels}
            held_wheels = tuple(HeldWheel(one.path.name, one.name, one.version, one.licence) for one in wheels)
            manifest = replace(manifest, wheels=held_wheels)
        say(f"writing {settings.out}")
        return write_bundle(settings.out, manifest, contents, key=key)


def backbone_files(folder: Path) -> list[Path]:
    """The files of a backbone's folder that are carried: weights in safetensors, tokenizer, settings, licence.

    Pickled weights and code are left behind, as nothing reads or runs them; so are folders, which hold the weights
    once more. Raises :class:`InputError` for a folder without weights in safetensors.
    """
    check_safetensors(folder)
    return [path for path in sorted(folder.iterdir()) if path.is_file() and holds_file("backbone", path.name)]


def bank_files(bank: PromptBank, backbone: HeldBackbone) -> tuple[tuple[str, ...], dict[str, Content]]:
    """The prompts of a bank as ``name@version`` and its files by name, all of one moment and as its manifest says.

    Raises :class:`InputError` for a changed file, and when no prompt is for this backbone.
    """
    for left in reversed(range(_TRIES)):
        manifest = manifest_content(bank.folder)
        listed = bank.listed()
        try:
            files: dict[str, Content] = {one.path.name: bank.content(one.reference)[1] for one in listed}
        except InputError:
            if not left or manifest == manifest_content(bank.folder):
                raise
            continue
        if manifest == manifest_content(bank.folder):
            break
    else:
        raise InputError("the bank is being changed all the time", where=str(bank.folder), fix="try again later")
    faults = []
    for one in listed:
        identity = BackboneIdentity(
            name=backbone.name, fingerprint=backbone.fingerprint, tokenizer=backbone.tokenizer,
            hidden=one.card.backbone.hidden,
        )  # fmt: skip
        try:
            check_backbone(one.card, identity, where=one.reference)
        except InputError as error:
            faults.append(error)
    if len(faults) == len(listed):
        raise_all(faults or [InputError("the bank is empty", where=str(bank.folder), fix="add a prompt first")])
    return tuple(one.reference for one in listed), {BANK_FILE: manifest, **files}


def documents() -> dict[str, Path]:
    """The documents of the checkout that is running, by name; :class:`InputError` when there is no checkout."""
    root = checkout()
    if root is None:
        raise InputError(
            "the documents are not in the installed package", where="--docs", fix="run this from a source checkout"
        )
    found = [root / name for name in DOCUMENTS if (root / name).is_file()]
    found += [path for name in ("docs", "examples") for path in sorted((root / name).rglob("*")) if path.is_file()]
    kept = (path for path in found if not any(part.startswith((".", "__")) for part in path.relative_to(root).parts))
    return {path.relative_to(root).as_posix(): path for path in kept}


def _wheels(settings: BundleSettings, target: Target, folder: Path, say: Callable[[str], None]) -> list[Wheel]:
    pins = read_pins(settings.constraints) if settings.constraints else installed_pins()
    house = Wheelhouse(folder, target, pins=pins, source=settings.wheels, without=settings.skip_wheels, say=say)
    return house.filled(own_wheel(folder), extras=settings.extras)
