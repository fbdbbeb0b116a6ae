"""The figures that are drawn and tabled; the others stand in the Parquet file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

AUC, EPSILON = "attack.auc", "attack.epsilon"

ONE_RUN = ["dataset", "method", "run"]
"""Columns that tell runs apart: two methods may share one whose entries differ in their label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One figure by its plain name.

    Parameters
    ----------
    title : str
        What a reader is told.
    metrics : tuple of str
        Names in the results; a table has at most one of them.
    direction : {"lower", "higher"}
        Which way is better.
    floor : str
        What the floor is.
    """

    title: str
    metrics: tuple[str, ...]
    direction: str
    floor: str = "sampling alone"

    @property
    def axis(self) -> str:
        """Its title, and which way is better."""
        return f"{self.title} ({self.direction} is better)"


HEADLINES = (
    Headline(title="two-way error", metrics=("tvd2.mean",), direction="lower"),
    Headline(title="three-way error", metrics=("tvd3.mean",), direction="lower"),
    Headline(
        title="trees trained on synthetic rows",
        metrics=("tstr.boosting.auroc", "tstr.boosting.r2"),
        direction="higher",
        floor="real rows",
    ),
    Headline(
        title="linear model trained on synthetic rows",
        metrics=("tstr.linear.auroc", "tstr.linear.r2"),
        direction="higher",
        floor="real rows",
    ),
    Headline(title="error of counting queries", metrics=("queries.mean",), direction="lower"),
    Headline(title="dependence lost", metrics=("dependence.lost",), direction="lower"),
    Headline(title="told from real rows, AUC", metrics=("c2st.boosting.auc",), direction="lower"),
    Headline(title="pairs of values invented", metrics=("support.invented",), direction="lower"),
    Headline(
        title="Wasserstein distance of numbers", metrics=("wasserstein.mean",), direction="lower"
    ),
)
"""In the order in which they are shown; those that were not measured are left out."""

ATTACKS = (
    Headline(title="best membership attack, AUC", metrics=(AUC,), direction="lower"),
    Headline(title="lower bound on ε", metrics=(EPSILON,), direction="lower"),
)


def shown(frame: pd.DataFrame, headlines: Sequence[Headline] = HEADLINES) -> list[Headline]:
    """Return the headlines for which the results hold a figure."""
    measured = set(frame.loc[frame["value"].notna(), "metric"])
    return [line for line in headlines if measured & set(line.metrics)]


def of(frame: pd.DataFrame, headline: Headline) -> pd.DataFrame:
    """Return the rows of a headline that have a value."""
    return frame[frame["metric"].isin(headline.metrics) & frame["value"].notna()]


def spread(rows: pd.DataFrame) -> dict[float, tuple[float, float, float]]:
    """Return (median, lowest, highest) over repetitions by ε, ascending."""
    found: dict[float, tuple[float, float, float]] = {}
    for epsilon, group in rows.groupby("epsilon", sort=True):
        values = group["value"].tolist()
        found[float(str(epsilon))] = statistics.median(values), min(values), max(values)
    return found


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return medians and ranges over repetitions.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.

    Returns
    -------
    DataFrame
        One row per table, method, ε and headline: title, median, low, high, runs, floor and
        reference (medians; NaN where there is none).
    """
    lines = []
    for headline in (*shown(frame), *shown(frame, ATTACKS)):
        rows = of(frame, headline)
        for (table, epsilon, method), group in rows.groupby(
            ["dataset", "epsilon", "method"], sort=False
        ):
            lines.append(
                {
                    "dataset": table,
                    "epsilon": epsilon,
                    "method": method,
                    "title": headline.title,
                    "median": group["value"].median(),
                    "low": group["value"].min(),
                    "high": group["value"].max(),
                    "runs": len(group),
                    "floor": group["floor"].median(),
                    "reference": group["reference"].median(),
                }
            )
    names = ["dataset", "epsilon", "method", "title", "median", "low", "high", "runs"]
    return pd.DataFrame(lines, columns=[*names, "floor", "reference"])


def takeaways(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return sentences that say what the figures show, by table.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.
    """
    said: dict[str, list[str]] = {}
    for table in frame["dataset"].drop_duplicates():
        rows = frame[frame["dataset"] == table]
        said[str(table)] = [
            *(_best(rows, headline) for headline in shown(rows)),
            *_attacked(rows),
        ]
    return said


def _best(rows: pd.DataFrame, headline: Headline) -> str:
    """Say who is ahead at every ε, by medians."""
    medians = of(rows, headline).groupby(["epsilon", "method"], sort=True)["value"].median()
    ahead: dict[str, list[float]] = {}
    for epsilon, at in medians.groupby(level="epsilon"):
        at = at.droplevel("epsilon")
        name = at.idxmin() if headline.direction == "lower" else at.idxmax()
        ahead.setdefault(str(name), []).append(float(str(epsilon)))
    parts = [
        f"{name} (ε = {', '.join(f'{epsilon:g}' for epsilon in at)})" for name, at in ahead.items()
    ]
    floor = of(rows, headline)["floor"].median()
    beside = "" if pd.isna(floor) else f" {headline.floor.capitalize()}: {floor:.3f}."
    return f"{headline.title.capitalize()}, best median: {'; '.join(parts)}.{beside}"


def _attacked(rows: pd.DataFrame) -> list[str]:
    areas = rows[rows["metric"] == AUC]
    if areas.empty:
        return []
    above = areas[areas["ci_low"] > areas["reference"]]
    certain = areas[areas["ci_low"] > areas["floor"]]
    text = (
        f"Attacks: the best one's AUC lies between {areas['value'].min():.3f} and "
        f"{areas['value'].max():.3f}; {len(certain)} of {len(areas)} runs are certainly above "
        f"chance, {len(above)} certainly above the cap of their claim."
    )
    return [text]


def failures(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how often runs failed, by table, method, ε and reason."""
    failed = frame[frame["status"] == "failed"]
    names = ["dataset", "method", "epsilon", "code", "message"]
    return failed.groupby(names, sort=False, dropna=False).size().reset_index(name="runs")
