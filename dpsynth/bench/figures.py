"""The figures of a sweep, as SVG that is the same for the same results."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dpsynth.bench.headlines import AUC, Headline, of, shown, spread
from dpsynth.errors import require_extra

# Okabe and Ito's colours; the yellow one is left out, it does not show on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_LINES = ("-", "--", "-.", ":")

_WIDTH, _HEIGHT = 3.7, 2.7
_LETTERS = 26
"""As many letters of a label stand beside an axis."""

_NEAR = 1.4
"""A cap no farther than this many widths of the points is drawn, one beyond is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a method is drawn: told by colour, by marker and by line."""

    colour: str
    marker: str
    line: str


def styles(frame: pd.DataFrame) -> dict[str, Style]:
    """Return a style by method, in the order of the results."""
    names = frame["method"].drop_duplicates()
    return {
        str(name): Style(
            colour=_COLOURS[place % len(_COLOURS)],
            marker=_MARKERS[place % len(_MARKERS)],
            line=_LINES[place // len(_COLOURS) % len(_LINES)],
        )
        for place, name in enumerate(names)
    }


def utility(frame: pd.DataFrame) -> str | None:
    """Draw utility against ε: a row per figure, a column per table, a band over repetitions.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.

    Returns
    -------
    str or None
        SVG; None where no figure was measured.
    """
    return _grid(frame, _against_epsilon, name="utility")


def frontier(frame: pd.DataFrame) -> str | None:
    """Draw utility against the success of the best membership attack.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.

    Returns
    -------
    str or None
        SVG; None where nothing was attacked or no figure measured.
    """
    if frame.loc[frame["metric"] == AUC, "value"].notna().any():
        return _grid(frame, _against_attack, name="frontier")
    return None


def _grid(
    frame: pd.DataFrame,
    panel: Any,  # noqa: ANN401 - a function of matplotlib's axes, which are not typed
    *,
    name: str,
) -> str | None:
    rows, tables = shown(frame), list(frame["dataset"].drop_duplicates())
    if not rows:
        return None
    require_extra("matplotlib", extra="benchmarks", purpose="The figures of a sweep")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Names of parts are hashes of a random salt otherwise; text stays text.
    settings: dict[Any, Any] = {"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(settings):
        size = (_WIDTH * max(2, len(tables)), _HEIGHT * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(rows), len(tables), squeeze=False)
        drawn = styles(frame)
        for line, headline in enumerate(rows):
            for column, table in enumerate(tables):
                place, here = axes[line][column], frame[frame["dataset"] == table]
                below = panel(place, here, headline, drawn)
                place.grid(alpha=0.25)
                place.set_title(f"{table}" if line == 0 else "", fontsize=10)
                place.set_ylabel(_broken(headline.axis) if column == 0 else "")
                place.set_xlabel(below if line == len(rows) - 1 else "")
        _legend(figure, axes, list(drawn))
        out = io.StringIO()
        # Without a date: the same results give the same file.
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _broken(text: str) -> str:
    title, _, direction = text.partition(" (")
    return "\n".join([*textwrap.wrap(title, _LETTERS), f"({direction}"])


def _legend(figure: Any, axes: Any, names: Sequence[str]) -> None:  # noqa: ANN401
    found: dict[str, Any] = {}
    for place in axes.ravel():
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    order = [*(name for name in names if name in found), *(n for n in found if n not in names)]
    figure.legend(
        [found[name] for name in order], order, loc="outside lower center", ncols=4, frameon=False
    )


def _against_epsilon(
    axes: Any,  # noqa: ANN401 - matplotlib is not typed
    frame: pd.DataFrame,
    headline: Headline,
    drawn: dict[str, Style],
) -> str:
    rows = of(frame, headline)
    for name, style in drawn.items():
        values = spread(rows[rows["method"] == name])
        if not values:
            continue
        at = list(values)
        middle, low, high = zip(*values.values(), strict=True)
        axes.fill_between(at, low, high, color=style.colour, alpha=0.15, linewidth=0)
        axes.plot(
            at,
            middle,
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            markersize=4.5,
            linewidth=1.4,
            label=name,
        )
    floor = rows["floor"].median()
    if not pd.isna(floor):
        axes.axhline(floor, color="black", linestyle=":", linewidth=1.2, label="floor")
    ticks = sorted(frame["epsilon"].drop_duplicates())
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{epsilon:g}" for epsilon in ticks])
    axes.minorticks_off()
    return "ε"


def _against_attack(
    axes: Any,  # noqa: ANN401 - matplotlib is not typed
    frame: pd.DataFrame,
    headline: Headline,
    drawn: dict[str, Style],
) -> str:
    areas = frame.loc[frame["metric"] == AUC, ["run", "value"]].drop_duplicates("run")
    joined = of(frame, headline).merge(areas, on="run", suffixes=("", "_attack"))
    points = joined.groupby(["method", "epsilon"], sort=True)[["value", "value_attack"]]
    for name, style in drawn.items():
        if name not in set(joined["method"]):
            continue
        mine = joined[joined["method"] == name]
        axes.scatter(
            mine["value_attack"], mine["value"], s=6, color=style.colour, alpha=0.35, linewidth=0
        )
        middle = points.median().loc[name]
        axes.plot(
            middle["value_attack"],
            middle["value"],
            color=style.colour,
            linestyle=style.line,
            linewidth=0.8,
            alpha=0.7,
        )
        sizes = [16 + 12 * place for place in range(len(middle))]
        axes.scatter(
            middle["value_attack"],
            middle["value"],
            s=sizes,
            color=style.colour,
            marker=style.marker,
            label=name,
        )
    axes.axvline(0.5, color="black", linestyle=":", linewidth=1.2, label="chance")
    caps = frame[frame["metric"] == AUC].groupby("epsilon")["reference"].median().dropna()
    left, right = min(0.5, float(areas["value"].min())), max(0.55, float(areas["value"].max()))
    # The caps of a large ε are far from what an attack reaches: they are named, not drawn.
    near = caps[caps <= left + _NEAR * (right - left)]
    for cap in near:
        axes.axvline(cap, color="#a12622", linestyle="--", linewidth=1, label="cap of an ε")
    right = max([right, *near])
    axes.set_xlim(left - 0.05 * (right - left), right + 0.05 * (right - left))
    named = [f"{cap:.2f} (ε = {epsilon:g})" for epsilon, cap in caps.items()]
    pairs = [", ".join(named[place : place + 2]) for place in range(0, len(named), 2)]
    return "AUC of the best membership attack\ncaps: " + ",\n".join(pairs)
