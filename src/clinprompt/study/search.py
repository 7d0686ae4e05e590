"""Learning rates looked for by Optuna: the same number of trials for every method, judged on the development part."""

from __future__ import annotations

import json
import math
import statistics

from clinprompt.errors import InputError
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import read_adapted
from clinprompt.stages.atomic import write_json
from clinprompt.stages.methods import from_sources
from clinprompt.study.basis import of_gang
from clinprompt.study.expansion import PlannedGang, plan_gang
from clinprompt.study.gang import adapt_settings, gangs_of
from clinprompt.study.recipe import Recipe, variant_of
from clinprompt.study.running import Worker
from clinprompt.study.waiting import waiting


def tuned(planned: PlannedGang, worker: Worker) -> Recipe:
    """The recipe of a gang; where the study searches, with the one rate that the search of its method has found."""
    search = planned.configuration.search
    if search is None:
        return planned.part.recipe
    first = next(gang for gang in gangs_of(planned.part.recipe) if gang.method == planned.gang.method)
    key = plan_gang(planned.part, first, search).key
    file = worker.archive.search_file(key)
    with waiting(worker.runs / f".{key}.search.lock", what="a search of a study"):
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        now = of_gang(planned, worker.basis(planned.part))
        if not found or found.get("rests_on", now) != now:  # searches of before do not say what they rest on
            found = {"part": planned.part.title, "method": first.method, "trials": _trials(planned, worker)}
            write_json(file, found | {"rests_on": now})
        trials = found["trials"]
    finite = [trial for trial in trials if trial["dev_loss"] is not None]
    if not finite:
        rates = ", ".join(f"{trial['rate']:g}" for trial in trials)
        raise InputError(f"training diverged in every trial of the search ({rates})", where=first.method)
    best = min(finite, key=lambda trial: trial["dev_loss"])
    return with_rate(planned.part.recipe, first.method, best["rate"])


def with_rate(recipe: Recipe, name: str, rate: float) -> Recipe:
    """The recipe with one learning rate for a method."""
    method = recipe.methods[name]
    own = method.model_copy(update={"budget": method.budget.model_copy(update={"rates": (rate,)})})
    return recipe.model_copy(update={"methods": recipe.methods | {name: own}})


def _trials(planned: PlannedGang, worker: Worker) -> list[dict[str, float | None]]:
    """Each trial's rate and mean dev loss over the cells of the first seed; ``None`` where a cell diverged.

    The sampler is seeded and finished trainings are reused, so a search that was killed goes on where it stopped.
    """
    try:
        import optuna
    except ImportError:
        raise InputError(
            "a search of the kind optuna needs the package optuna", where="search.kind", allowed="grid",
            fix="pip install 'clinprompt[search]'",
        ) from None  # fmt: skip
    part, search = planned.part, planned.configuration.search
    assert search is not None
    gang = next(one for one in gangs_of(part.recipe) if one.method == planned.gang.method)
    method = part.recipe.methods[gang.method]
    if method.budget.keep != "best":
        raise InputError(
            "a search by optuna judges the development part, which `keep: last` never looks at",
            where=f"methods.{gang.method}.budget.keep", fix="set it to best",
        )  # fmt: skip
    given = worker.ingredients(part, sources=from_sources(method), variant=variant_of(method))
    (centre,) = method.budget.rates  # the method's own on this backbone
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=search.seed))
    trials = []
    for number in range(search.trials):
        trial = found.ask()
        rate = trial.suggest_float("rate", centre / search.span, centre * search.span, log=True)
        recipe = with_rate(part.recipe, gang.method, rate)
        settings = adapt_settings(recipe, gang, given.targets, metaprompt=given.metaprompt, teachers=given.teachers)
        worker.say("search", f"{part.title}: {gang.method}: trial {number + 1} of {search.trials}, rate {rate:.3g}")
        opened = worker.opened(recipe.backbone)
        try:
            run = adapt(settings, runs=worker.runs, opened=opened, progress=worker.progress)
            losses = [
                cell.dev_loss
                for cell in read_adapted(run.outputs)
                if cell.train_examples or (cell.failed and not cell.undrawn)
            ]
        except InputError:  # every cell diverged
            losses = [None]
        loss = statistics.fmean(known) if (known := [x for x in losses if x is not None]) == losses else math.inf
        trials.append({"rate": rate, "dev_loss": loss if math.isfinite(loss) else None})
        found.tell(trial, loss if math.isfinite(loss) else 1e9)
    return trials
