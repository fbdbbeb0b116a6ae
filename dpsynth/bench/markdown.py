"""The results of a sweep as tables in Markdown."""

from __future__ import annotations

import pandas as pd

from dpsynth.bench.headlines import ONE_RUN, failures, summary


def markdown(frame: pd.DataFrame) -> str:
    """Return medians, with lowest and highest, and the runs that failed.

    Parameters
    ----------
    frame : DataFrame
        Results in long form.
    """
    medians = summary(frame)
    titles = list(medians["title"].drop_duplicates())
    fits = frame.drop_duplicates(ONE_RUN).groupby(["dataset", "epsilon", "method"])
    seconds = fits["cpu_seconds"].median()
    lines = [
        "| table | ε | method | guarantee | runs | " + " | ".join(titles) + " | CPU s of a fit |",
        "|---|---|---|---|---|" + "---|" * (len(titles) + 1),
    ]
    guarantees = frame.drop_duplicates("method").set_index("method")["guarantee"]
    everything = frame.drop_duplicates(["dataset", "epsilon", "method"])
    order = everything.sort_values(["dataset", "epsilon"], kind="stable")
    for table, epsilon, method in order[["dataset", "epsilon", "method"]].itertuples(index=False):
        here = medians[
            (medians["dataset"] == table)
            & (medians["epsilon"] == epsilon)
            & (medians["method"] == method)
        ]
        cells = [_cell(here[here["title"] == title]) for title in titles]
        runs = int(here["runs"].max()) if len(here) else 0
        lines.append(
            f"| {table} | {epsilon:g} | {method} | {guarantees[method]} | {runs} | "
            + " | ".join(cells)
            + f" | {seconds[table, epsilon, method]:.1f} |"
        )
    return "\n".join([*lines, *_failed(frame)]) + "\n"


def _cell(row: pd.DataFrame) -> str:
    if row.empty:
        return "failed"
    median, low, high = (float(row[name].iloc[0]) for name in ("median", "low", "high"))
    if int(row["runs"].iloc[0]) == 1:
        return f"{median:.4f}"
    return f"{median:.4f} ({low:.4f}–{high:.4f})"


def _failed(frame: pd.DataFrame) -> list[str]:
    failed = failures(frame)
    if failed.empty:
        return []
    lines = [
        "",
        "| table | method | ε | failed runs | code | reason |",
        "|---|---|---|---|---|---|",
    ]
    for row in failed.itertuples(index=False):
        reason = str(row.message).replace("|", "/").replace("\n", " ")
        lines.append(
            f"| {row.dataset} | {row.method} | {row.epsilon:g} | {row.runs} | {row.code} "
            f"| {reason} |"
        )
    return lines
