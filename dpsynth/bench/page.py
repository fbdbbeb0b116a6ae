"""The results of a sweep on one page, and as files beside it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dpsynth.bench import figures
from dpsynth.bench.headlines import ONE_RUN, failures, summary, takeaways
from dpsynth.bench.markdown import markdown
from dpsynth.errors import require_extra
from dpsynth.files import write_bytes
from dpsynth.pages import render

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
    return render(
        "dpsynth.bench",
        "bench.html.jinja",
        delta=float(frame["delta"].iloc[0]),
        tables=list(frame["dataset"].drop_duplicates()),
        methods=list(frame["method"].drop_duplicates()),
        epsilons=[f"{e:g}" for e in sorted(frame["epsilon"].drop_duplicates())],
        runs=len(runs),
        failed=int((runs["status"] == "failed").sum()),
        missing=planned - len(runs),
        takeaways=takeaways(frame),
        utility=_inline(figures.utility(frame)),
        frontier=_inline(figures.frontier(frame)),
        medians=summary(frame).to_dict("records"),
        failures=failures(frame).to_dict("records"),
        guarantees=frame.drop_duplicates("method").set_index("method")["guarantee"].to_dict(),
    )


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
