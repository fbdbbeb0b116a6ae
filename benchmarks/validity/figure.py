"""The figure of the study: coverage against ε, a panel per method, a line per rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.validity.coverage import ALL, Summary
from dpsynth.errors import require_extra

_STYLES = {
    "naive": ("#990000", "o", "one sample, as if real"),
    "partial": ("#0b5394", "s", "rule “partial”"),
    "full": ("#b45f06", "^", "rule “full”"),
    "large": ("#38761d", "D", "rule “large”"),
}


def draw(summaries: Sequence[Summary], path: Path) -> None:
    """Write the figure, all tables together, as SVG.

    Parameters
    ----------
    summaries : sequence of Summary
        Of one δ.
    path : path
        File to write.
    """
    require_extra("matplotlib", extra="benchmarks", purpose="The figure of the study")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [summary for summary in summaries if summary.table == ALL]
    controls = [summary for summary in shown if summary.epsilon is None]
    methods = list(dict.fromkeys(s.method for s in shown if s.epsilon is not None))
    figure = Figure(figsize=(2.6 * (len(methods) + bool(controls)), 3.4), layout="constrained")
    panels = figure.subplots(1, len(methods) + bool(controls), sharey=True, squeeze=False)[0]
    for place, method in zip(panels[bool(controls) :], methods, strict=True):
        _curves(place, [s for s in shown if s.method == method])
        place.set_title(method, fontsize=9)
    if controls:
        _controls(panels[0], controls)
    for place in panels:
        place.axhline(95, color="black", linestyle=":", linewidth=1)
        place.set_ylim(-3, 103)
        place.grid(alpha=0.25)
        place.tick_params(labelsize=8)
    panels[0].set_ylabel("truth inside a 95 % interval, %", fontsize=9)
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    # Fixed identifiers and no date: the same study gives the same file.
    with rc_context({"svg.hashsalt": "validity"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def _curves(axes: Any, summaries: Sequence[Summary]) -> None:  # noqa: ANN401
    ticks = [summary.epsilon for summary in summaries]
    for number, (rule, (colour, marker, label)) in enumerate(_STYLES.items()):
        shares = [summary.coverage[rule] for summary in summaries]
        # Side by side, so that error bars do not hide one another.
        at = [(summary.epsilon or 0.0) * 1.06 ** (number - 1.5) for summary in summaries]
        axes.errorbar(
            at,
            [100 * share.value for share in shares],
            yerr=_bars(shares),
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=label,
        )
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{epsilon:g}" for epsilon in ticks])
    axes.minorticks_off()
    axes.set_xlabel("ε", fontsize=9)


def _controls(axes: Any, summaries: Sequence[Summary]) -> None:  # noqa: ANN401
    for place, summary in enumerate(summaries):
        for number, (rule, (colour, marker, _)) in enumerate(_STYLES.items()):
            if share := summary.coverage.get(rule):
                axes.errorbar(
                    [place + 0.12 * (number - 1.5)],
                    [100 * share.value],
                    yerr=_bars([share]),
                    color=colour,
                    marker=marker,
                    markersize=4,
                    capsize=2,
                )
    axes.set_xticks(range(len(summaries)), [summary.method for summary in summaries])
    axes.set_xlim(-0.5, len(summaries) - 0.5)
    axes.set_title("no privacy", fontsize=9)


def _bars(shares: Sequence[Any]) -> list[list[float]]:
    return [
        [100 * (share.value - share.low) for share in shares],
        [100 * (share.high - share.value) for share in shares],
    ]
