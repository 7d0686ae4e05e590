"""One sweep as a figure: time per unit against what grows, both axes logarithmic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sweep:
    """What grows, the unit that is timed, and (value, milliseconds per unit) points by way."""

    name: str
    unit: str
    curves: dict[str, list[tuple[int, float]]]


def draw(sweep: Sweep, folder: Path) -> Path:
    """Write the sweep as an SVG whose bytes depend on nothing but its points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scaling-{sweep.name.replace(' ', '-')}.svg"
    with matplotlib.rc_context({"svg.hashsalt": sweep.name, "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
        for name, points in sweep.curves.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel(sweep.name)
        axes.set_ylabel(f"milliseconds per {sweep.unit}")
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    text = path.read_text(encoding="utf-8")
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
    return path
