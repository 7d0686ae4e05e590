from __future__ import annotations

import io
import json
import shutil
import tarfile

import pytest

from clinprompt.bundle.create import create_bundle
from clinprompt.bundle.manifest import FILE
from clinprompt.bundle.verify import verify_bundle
from clinprompt.errors import InputError

KEY = bytes(range(32))


@pytest.fixture
def bundle(settings):
    made = settings()
    create_bundle(made)
    return made.out


def refused(bundle, **options):
    with pytest.raises(InputError) as caught:
        verify_bundle(bundle, **options)
    return str(caught.value)


def added(bundle, member, content=b""):
    """A copy of a tar with one more member before its end."""
    path = bundle.with_name("other.tar")
    shutil.copyfile(bundle, path)
    with tarfile.open(path, "a", format=tarfile.GNU_FORMAT) as tar:
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    # tarfile fills up with more zeros than there need to be, which is fine.
    return path


def test_a_bundle_that_is_as_it_was_made_verifies(bundle):
    checked = verify_bundle(bundle)
    assert {"install.pyz", "bank/bank.json", "bank/meds@1.safetensors", "backbone/model.safetensors"} <= set(
        checked.manifest.files
    )
    assert checked.manifest.prompts == ("meds@1",) and checked.manifest.backbone.name == "tiny"


def test_every_changed_byte_of_a_file_is_found(bundle):
    content = bytearray(bundle.read_bytes())
    places = verify_bundle(bundle).places
    for name in ("bank/meds@1.safetensors", "install.pyz", "backbone/config.json"):
        changed = bytearray(content)
        changed[places[name].start + places[name].bytes - 1] ^= 1
        other = bundle.with_name("changed.tar")
        other.write_bytes(changed)
        assert f"{name} is not the file that the manifest names" in refused(other)


def test_a_cut_or_continued_file_is_refused(bundle):
    content = bundle.read_bytes()
    for cut in (100, 700, len(content) // 2, len(content) - 1024):
        bundle.write_bytes(content[:cut])
        assert "damaged" in refused(bundle) or "early" in refused(bundle) or "no bundle" in refused(bundle)
    bundle.write_bytes(content + b"more")
    assert "behind the end" in refused(bundle)
    bundle.write_bytes(b"")
    assert "no bundle" in refused(bundle)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_devices_are_refused(bundle, kind):
    member = tarfile.TarInfo("docs/evil")
    member.type, member.linkname = kind, "/etc/passwd"
    assert "not a plain file" in refused(added(bundle, member))


def test_an_extended_header_is_refused_before_its_length_matters(bundle):
    member = tarfile.TarInfo("docs/" + "a" * 200)
    assert "extended header" in refused(added(bundle, member, b"x"))


@pytest.mark.parametrize("name", ["../evil.txt", "docs/evil.txt", "/etc/passwd", "bank/evil.safetensors"])
def test_what_the_manifest_does_not_name_is_refused(bundle, name):
    assert "is in the bundle and not in its manifest" in refused(added(bundle, tarfile.TarInfo(name), b"x"))


def test_a_file_that_is_there_twice_is_refused(bundle):
    assert "twice" in refused(added(bundle, tarfile.TarInfo("bank/bank.json"), b"{}"))


def edited(bundle, change, *, rename=None):
    """The bundle as a folder with another manifest, hashes made anew so that only the names are at fault."""
    folder = bundle.with_name("folder")
    with tarfile.open(bundle) as tar:
        tar.extractall(folder, filter="data")
    whole = json.loads((folder / FILE).read_text())
    change(whole)
    (folder / FILE).write_text(json.dumps(whole))
    if rename:
        (folder / rename[1]).parent.mkdir(exist_ok=True)
        (folder / rename[0]).rename(folder / rename[1])
    return folder


@pytest.mark.parametrize("name", ["../up.json", "/etc/x.json", "backbone/../x.json", "backbone/pytorch_model.bin", "bank/x.pkl",
                                  "docs/model.pt", "other/x.json", "wheels/x.tar.gz", "backbone/.x.json", "docs/a\nb"])  # fmt: skip
def test_names_without_a_place_in_a_bundle_are_refused(bundle, name):
    folder = edited(bundle, lambda whole: whole["files"].update({name: whole["files"]["bank/bank.json"]}))
    assert "a bundle holds no file of the name" in refused(folder)


def test_a_pickle_under_another_name_is_refused(bundle):
    import hashlib
    import pickle

    content = pickle.dumps({"a": [1, 2, 3]})
    hashed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    for name in ("docs/notes.md", "backbone/extra.json", "backbone/more.safetensors"):
        folder = edited(bundle, lambda whole, name=name: whole["files"].update({name: hashed}))
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        assert "pickle" in refused(folder) or "is no safetensors file" in refused(folder)
        shutil.rmtree(folder)


def test_a_folder_is_verified_like_a_file(bundle):
    folder = edited(bundle, lambda whole: None)
    verify_bundle(folder)
    (folder / "docs").mkdir()
    (folder / "docs" / "link.md").symlink_to("/etc/passwd")
    assert "not a plain file" in refused(folder)
    (folder / "docs" / "link.md").unlink()
    (folder / "bank" / "meds@1.safetensors").unlink()
    assert "is in the manifest and not in the bundle" in refused(folder)


def test_a_damaged_manifest_is_one_paragraph(bundle):
    for change in (lambda whole: whole.pop("files"), lambda whole: whole.update(format=2), lambda whole: whole.update(more=1),
                   lambda whole: whole["files"]["install.pyz"].update(bytes=-1), lambda whole: whole.update(wheels=[1]),
                   lambda whole: whole["target"].update(platform=3), lambda whole: whole.update(prompts=[[]])):  # fmt: skip
        folder = edited(bundle, change)
        assert "damaged" in refused(folder) or "another format" in refused(folder)
        shutil.rmtree(folder)


def test_a_signature_is_checked_with_its_key(settings, tmp_path):
    key = tmp_path / "bundle.key"
    key.write_bytes(KEY)
    create_bundle(settings(key=key))
    signed = settings().out
    verify_bundle(signed, key=KEY)
    verify_bundle(signed)
    assert "signed with the key" in refused(signed, key=KEY[::-1])
    forged = edited(signed, lambda whole: whole.update(prompts=["other@1"]))
    assert "changed after it was signed" in refused(forged, key=KEY)
    shutil.rmtree(forged)
    bare = edited(signed, lambda whole: whole.update(signature=None))
    assert "the bundle is not signed" in refused(bare, key=KEY)
