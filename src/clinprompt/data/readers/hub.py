"""Data sets of the Hugging Face library `datasets`: a saved folder, or a name in the local cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from clinprompt.data.faults import Faults
from clinprompt.data.fields import FieldNames, Fields, example_of, items_of
from clinprompt.data.stream import Stream
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example

if TYPE_CHECKING:
    from datasets import Dataset


def read(
    path: Path | None,
    *,
    name: str = "",
    config: str = "",
    revision: str = "",
    part: str = "",
    **named: Unpack[FieldNames],
) -> list[Document] | list[Example]:
    """One :class:`Example` per row of a data set, by naming its columns.

    ``path`` is a folder that ``save_to_disk`` wrote; or ``name`` (with ``config`` and ``revision``), or a path
    ``owner/name`` where no such folder is, is a data set of the hub, taken from the local cache unless downloads
    are allowed (``--online``). ``part`` names the split (``train``, ``validation`` …) where there are several.
    Columns of numbered classes give the names of the classes. With ``note`` alone (and ``id``, ``group``) the
    rows are notes, as :class:`Document`. ``named`` are the options of :class:`clinprompt.data.fields.Fields`.
    Needs the extra ``hub``.

    Raises one :class:`InputError` that lists all rows that cannot be read.
    """
    if path is not None and not name and not Path(path).exists() and len(Path(path).parts) == 2:
        name, path = Path(path).as_posix(), None
    if (path is None) == (not name):
        raise InputError("the reader 'hub' needs either a path or the option name", fix="give one of the two")
    if path is not None and not Path(path).is_dir():
        raise InputError("the folder is not there", where=str(path), fix="give a folder that save_to_disk wrote")
    fields = Fields(**named)
    where = str(path) if path is not None else name
    table = _part(_opened(path, name=name, config=config, revision=revision), part, where=where)
    classes = {column: kind for column, kind in table.features.items() if hasattr(kind, "int2str")}
    faults, examples = Faults(), []
    for number, row in enumerate(table, 1):
        with faults.gathered():
            at = f"{where} row {number}"
            named = row | {column: _class_name(kind, row[column], at) for column, kind in classes.items()}
            examples.append(example_of(named, fields, fallback_id=str(number), where=at))
    faults.raise_all()
    return list(items_of(Stream(lambda: iter(examples)), fields))  # type: ignore[return-value]


def _opened(path: Path | None, *, name: str, config: str, revision: str) -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the library looks at it once, when it is imported
    try:
        import datasets
    except ImportError:
        raise InputError(
            "the library `datasets` is not installed", fix="install it: pip install 'clinprompt[hub]'"
        ) from None
    if name and not datasets.config.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] != "0":
        raise InputError("downloads were not switched off before this program began", where=name,
                         fix="set HF_HUB_OFFLINE=1, or =0 to allow them, and begin again")  # fmt: skip
    datasets.disable_progress_bars()
    try:
        if path is not None:
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(name, config or None, revision=revision or None)
    except (OSError, ValueError, RuntimeError) as error:
        # The library's message may quote the data; its kind is enough to go by.
        fix = "give a folder that save_to_disk wrote" if path is not None else "check the name, or allow --online"
        what = f"the data set cannot be opened ({type(error).__name__})"
    raise InputError(what, where=str(path) if path is not None else name, fix=fix)


def _part(opened: Any, part: str, *, where: str) -> Dataset:
    if not isinstance(opened, dict):
        if part:
            raise InputError("the data set has no parts", where=where, fix="leave out the option part")
        return opened
    if not part and len(opened) == 1:
        return next(iter(opened.values()))
    if part not in opened:
        raise InputError(f"the option part has the value {part!r}", where=where, allowed=", ".join(opened))
    return opened[part]


def _class_name(kind: Any, value: Any, where: str) -> str:
    if value is None or value < 0:
        raise InputError("the row has no class", where=where, fix="take a part that is labelled")
    return kind.int2str(value)
