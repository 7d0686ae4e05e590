from __future__ import annotations

import csv
import hashlib
import io
import tomllib
import zipfile
from base64 import urlsafe_b64encode

from packaging.requirements import Requirement

from clinprompt.bundle.own_wheel import own_wheel
from clinprompt.bundle.wheel_file import read_wheel


def test_our_wheel_is_the_package_that_runs(tmp_path, repository):
    path = own_wheel(tmp_path)
    first = path.read_bytes()
    assert own_wheel(tmp_path).read_bytes() == first
    told = read_wheel(path)
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert (told.name, told.version, told.licence) == ("clinprompt", project["version"], "Apache-2.0")
    plain = {str(need) for need in told.needs if need.marker is None}
    assert plain == {str(Requirement(text)) for text in project["dependencies"]}
    of_extras = sum(map(len, project["optional-dependencies"].values()))
    assert len(told.needs) == len(plain) + of_extras and set(told.extras) == set(project["optional-dependencies"])
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        package = repository / "src" / "clinprompt"
        for source in ("cli/main.py", "backbones/embedded/model/model.safetensors", "cli/demo.yaml"):
            assert archive.read(f"clinprompt/{source}") == (package / source).read_bytes()
        [record] = [name for name in names if name.endswith("/RECORD")]
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert {row[0] for row in rows} == names and not any("__pycache__" in name for name in names)
        for name, digest, length in rows:
            if digest:
                content = archive.read(name)
                wanted = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, int(length)) == (f"sha256={wanted}", len(content))
