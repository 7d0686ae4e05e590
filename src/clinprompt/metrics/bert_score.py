"""BERTScore of summaries with a model in a local folder; needs the extra ``bertscore``, never downloads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.metrics.answers import gold_text
from clinprompt.metrics.metric import Mean, Metric
from clinprompt.schema.example import Answer, Example

_HOW = "bert-score:FOLDER@LAYER, such as bert-score:models/deberta-xlarge-mnli@40"


def bert_score(labels: Sequence[str] = (), *, argument: str = "") -> Metric:
    """Mean BERTScore F1, not rescaled, without idf weights; ``argument`` is the model's folder, ``@`` and its layer.

    The layer may be left out for a folder named like a model for which the package ``bert-score`` knows one. Raises
    :class:`InputError` where the folder is not there, its layer is not known or the extra is not installed.
    """
    folder, _, number = argument.rpartition("@") if argument.rpartition("@")[2].isdigit() else (argument, "", "")
    if not folder:
        raise InputError("bert-score needs the folder of a model", allowed=_HOW, fix="name it in the task's metrics")
    if not (Path(folder) / "config.json").is_file():
        raise InputError("there is no model in this folder", where=folder, fix="fetch it first; nothing is downloaded")
    layer = int(number) if number else _known_layer(Path(folder))

    def score(gold: Example, predicted: Answer) -> float:
        true, said = gold_text(gold), predicted.text or ""
        if not true.strip() or not said.strip():
            return float(true.strip() == said.strip())
        return float(_scorer(str(Path(folder).resolve()), layer).score([said], [true])[2])

    _package()
    return Mean(f"bert-score:{argument}", score)


def _known_layer(folder: Path) -> int:
    layers = {name.rpartition("/")[2]: layer for name, layer in _package().utils.model2layers.items()}
    if folder.name not in layers:
        raise InputError("which layer of this model is to be compared?", where=str(folder), allowed=_HOW)
    return int(layers[folder.name])


def _package() -> Any:
    try:
        # Imported late: it brings torch, which the other metrics do without.
        import bert_score as package
    except ImportError:
        raise InputError(
            "bert-score needs a package that is not installed", fix="pip install 'clinprompt[bertscore]'"
        ) from None
    return package


@cache
def _scorer(folder: str, layer: int) -> Any:
    return _package().BERTScorer(model_type=folder, num_layers=layer, use_fast_tokenizer=True)
