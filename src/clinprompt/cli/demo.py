"""``clinprompt demo``: the main job on the embedded default, then predictions on new notes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Runs, Sets, overrides
from clinprompt.cli.run import run_recipe

if TYPE_CHECKING:
    from clinprompt.schema.document import Document
    from clinprompt.study.job import JobResult
    from clinprompt.study.recipe import Recipe

RECIPE = Path(__file__).with_name("demo.yaml")
NOTES = 5


def demo(
    out: Annotated[Path, typer.Option(help="Folder of table, report and predicted notes.")] = Path("results/demo"),
    backbone: Backbone = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Teachers, metaprompt, adapted prompts, baselines, scores and predictions, on synthetic notes."""
    from clinprompt.stages.overrides import load_config
    from clinprompt.study.recipe import Recipe

    recipe = load_config(RECIPE, Recipe, overrides(sets, backbone__path=backbone))
    result = run_recipe(recipe, runs=runs, out=out)
    documents = _predict(recipe, result, out)
    if documents:
        _show(documents[0])
    console.line(f"open {out / 'report.html'} in a browser")
    console.result({"table": out / "table.json", "report": out / "report.html", "notes": out / "predicted"})


def _predict(recipe: Recipe, result: JobResult, out: Path) -> list[Document]:
    """New notes of the other site through the adapted entity prompt, as brat."""
    from clinprompt.data.readers.brat import read as read_brat
    from clinprompt.data.readers.synthetic import read
    from clinprompt.schema.example import TaskKind
    from clinprompt.stages.configs import PredictSettings
    from clinprompt.stages.predict import predict

    targets = [name for name, item in result.targets.items() if item.task.kind is TaskKind.entities]
    cells = [cell for cell in result.cells if cell.method == "mpt" and cell.record["task"] in targets]
    if not cells:
        return []
    best = max(cells, key=lambda cell: cell.record["train_examples"])
    prompt = result.adapted[best.method, best.seed] / best.record["file"]
    source = result.targets[best.record["task"]].task.data
    notes, predicted = out / "notes", out / "predicted"
    for folder in (notes, predicted):
        shutil.rmtree(folder, ignore_errors=True)
    notes.mkdir(parents=True)
    options = dict(source.options) if source is not None else {}
    for document in read(None, n=NOTES, seed=90210, **options):
        (notes / f"{document.id.replace('/', '-')}.txt").write_text(document.text, encoding="utf-8", newline="")
    console.stage("predict", f"{NOTES} new notes with {prompt}")
    settings = PredictSettings(backbone=recipe.backbone, prompts=(prompt,), notes=notes, out=predicted)
    report = predict(settings, opened=None, progress=console.progress)
    console.line(
        f"{report.notes} notes, {report.spans} spans, each verbatim in its note; {report.decoding.unlocated} mentions "
        f"were not in the note and left out; brat files in {predicted}"
    )
    return list(read_brat(predicted))


def _show(document: Document) -> None:
    rows = [[span.label, span.start, span.end, span.surface(document.text)] for span in document.spans]
    console.table(["label", "start", "end", "text"], rows, title=f"Note {document.id}")
