"""The figure of a sweep: a panel per measure and table, a line per method, a band over runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frontier.sweep import Outcome
from dpsynth.errors import require_extra

PANELS = {
    "tvd2": "two-way error (lower is better)",
    "tvd3": "three-way error (lower is better)",
    "tstr": "trees trained on synthetic rows",
    "linear": "linear model trained on synthetic rows",
}

_STYLES = {
    "dp-autoregressive": ("#0b5394", "o"),
    "dp-vae": ("#b45f06", "s"),
    "dp-ctgan": ("#38761d", "^"),
    "pate-gan": ("#990000", "D"),
    "mst": ("#351c75", "v"),
    "independent": ("#666666", "x"),
}

Values = dict[float, list[float]]


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the figure as SVG.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Runs of one δ.
    path : path
        File to write.
    """
    require_extra("matplotlib", extra="benchmarks", purpose="The figure of a sweep")
    from matplotlib.figure import Figure

    tables = sorted({outcome.run.table for outcome in outcomes})
    panels = [(measure, name) for measure in PANELS for name in tables]
    columns = max(2, len(tables))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (measure, name) in zip(axes, panels, strict=True):
        _panel(place, [outcome for outcome in outcomes if outcome.run.table == name], measure)
        place.set_title(f"{name}: {PANELS[measure]}", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    figure.savefig(path, format=path.suffix.removeprefix("."), dpi=110)


def _panel(axes: Any, outcomes: Sequence[Outcome], measure: str) -> None:  # noqa: ANN401
    for method in sorted({o.run.method for o in outcomes}, key=list(_STYLES).index):
        values = spread([o for o in outcomes if o.run.method == method], measure)
        at = sorted(values)
        colour, marker = _STYLES[method]
        middle = [statistics.median(values[epsilon]) for epsilon in at]
        low = [min(values[epsilon]) for epsilon in at]
        high = [max(values[epsilon]) for epsilon in at]
        axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(at, middle, color=colour, marker=marker, markersize=4, label=method)
    _look_closer(axes, outcomes, measure)
    reference = [o.references[measure] for o in outcomes if measure in o.references]
    if reference:
        best = statistics.median(reference)
        axes.axhline(best, color="black", linestyle=":", linewidth=1, label="rows of the table")
    ticks = sorted({o.run.epsilon for o in outcomes})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{epsilon:g}" for epsilon in ticks])
    axes.minorticks_off()
    axes.set_xlabel("ε", fontsize=9)
    axes.grid(alpha=0.25)
    axes.tick_params(labelsize=8)


def _look_closer(axes: Any, outcomes: Sequence[Outcome], measure: str) -> None:  # noqa: ANN401
    """Leave the reference that all beat outside, and say so, where it would hide the others."""
    others = [o.figures[measure] for o in outcomes if o.run.method != "independent"]
    apart = [o.figures[measure] for o in outcomes if o.run.method == "independent"]
    if not others or not apart:
        return
    low, high = min(others), max(others)
    room = max(high - low, 0.01)
    if max(apart) < low - 2 * room:
        axes.set_ylim(bottom=low - 0.3 * room)
        text = f"independent: {min(apart):.2f} to {max(apart):.2f}, below"
        axes.text(0.03, 0.04, text, transform=axes.transAxes, fontsize=8, color="#666666")


def spread(outcomes: Sequence[Outcome], measure: str) -> Values:
    """Return the values of all repetitions by ε."""
    values: Values = {}
    for outcome in outcomes:
        values.setdefault(outcome.run.epsilon, []).append(outcome.figures[measure])
    return values


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return medians, with lowest and highest, as a table in Markdown."""
    names = list(outcomes[0].figures)
    lines = [
        "| table | ε | method | runs | " + " | ".join(names) + " | fit, s |",
        "|---|---|---|---|" + "---|" * (len(names) + 1),
    ]
    groups: dict[tuple[str, float, str], list[Outcome]] = {}
    for outcome in outcomes:
        run = outcome.run
        groups.setdefault((run.table, run.epsilon, run.method), []).append(outcome)
    for (table, epsilon, method), found in sorted(groups.items()):
        cells = [_cell([o.figures for o in found], name) for name in names]
        seconds = statistics.median(o.seconds for o in found)
        lines.append(
            f"| {table} | {epsilon:g} | {method} | {len(found)} | "
            + " | ".join(cells)
            + f" | {seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _cell(figures: Sequence[Mapping[str, float]], name: str) -> str:
    values = sorted(part[name] for part in figures)
    middle = f"{statistics.median(values):.4f}"
    return middle if len(values) == 1 else f"{middle} ({values[0]:.4f}–{values[-1]:.4f})"
