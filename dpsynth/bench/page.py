"""The results of a sweep on one page, and as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dpsynth.bench import figures
from dpsynth.bench.headlines import ONE_RUN, failures, summary, takeaways
from dpsynth.bench.markdown import markdown
from dpsynth.errors import require_extra
from dpsynth.files import write_bytes
from dpsynth.pages import render

Row = dict[str, Any]

PAGE, TABLE, UTILITY, FRONTIER = "bench.html", "results.md", "utility.svg", "frontier.svg"


def to_html(frame: pd.DataFrame, *, planned: int) -> str:
    """Return the page: figures, what they say, and the numbers behind them.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.
    planned : int
        Runs of the sweep.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` or ``benchmarks`` is not installed.
    """
    runs = frame.drop_duplicates(ONE_RUN)
    epsilons = sorted(float(epsilon) for epsilon in frame["epsilon"].drop_duplicates())
    return render(
        "dpsynth.bench",
        "bench.html.jinja",
        delta=float(frame["delta"].iloc[0]),
        tables=list(frame["dataset"].drop_duplicates()),
        methods=list(frame["method"].drop_duplicates()),
        epsilons=[f"{epsilon:g}" for epsilon in epsilons],
        headings=[f"ε = {epsilon:g}" for epsilon in epsilons],
        runs=len(runs),
        failed=int((runs["status"] == "failed").sum()),
        missing=planned - len(runs),
        takeaways=takeaways(frame),
        utility=_inline(figures.utility(frame)),
        frontier=_inline(figures.frontier(frame)),
        medians=_medians(frame, epsilons),
        failures=failures(frame).to_dict("records"),
        guarantees=frame.drop_duplicates("method").set_index("method")["guarantee"].to_dict(),
    )


def _medians(frame: pd.DataFrame, epsilons: Sequence[float]) -> dict[str, list[Row]]:
    """Return the rows of each table: a figure of a method, a cell per ε."""
    rows: dict[str, list[Row]] = {str(table): [] for table in frame["dataset"].drop_duplicates()}
    medians = summary(frame)
    for (table, title, method), group in medians.groupby(
        ["dataset", "title", "method"], sort=False
    ):
        cells = {
            float(row.epsilon): (row.median, row.low, row.high)
            for row in group.itertuples(index=False)
        }
        rows[str(table)].append(
            {
                "title": title,
                "method": method,
                "cells": [cells.get(epsilon) for epsilon in epsilons],
                "floor": group["floor"].median(),
            }
        )
    return rows


def write(frame: pd.DataFrame, folder: Path, *, planned: int) -> Path:
    """Write page, Markdown table and figures; older ones give way.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.
    folder : path
        Where they go.
    planned : int
        Runs of the sweep.

    Returns
    -------
    Path
        The page.
    """
    drawn = {UTILITY: figures.utility(frame), FRONTIER: figures.frontier(frame)}
    texts = {name: text for name, text in drawn.items() if text is not None}
    texts[TABLE] = markdown(frame)
    texts[PAGE] = to_html(frame, planned=planned)
    for name, text in texts.items():
        write_bytes(folder / name, text.encode("utf-8"), replace=True)
    return folder / PAGE


def _inline(svg: str | None) -> object:
    """Return a figure to stand in a page: our own markup, which is not escaped."""
    if svg is None:
        return None
    markup = require_extra("markupsafe", extra="report", purpose="The page of a sweep").Markup
    return markup(svg[svg.index("<svg") :])
