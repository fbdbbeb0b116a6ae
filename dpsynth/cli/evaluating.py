"""The command that measures what a synthetic table is still good for."""

from __future__ import annotations

from pathlib import Path

from dpsynth.cli.console import AsJson, Output, out, say


def evaluate(
    *,
    fit: Path,
    holdout: Path,
    synthetic: Path,
    schema: Path,
    epsilon: float | None = None,
    delta: float | None = None,
    seed: int = 0,
    page: Path | None = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a synthetic table is still good for. The result is confidential.

    Example: dpsynth evaluate --fit fit.csv --holdout holdout.csv --synthetic synthetic.csv
    --schema schema.toml --epsilon 1 --delta 1e-6 --page evaluate.html

    Prints a scorecard, what the table is fit for, and where it is worst. Spends nothing.

    Parameters
    ----------
    fit
        Rows that the model was fitted to.
    holdout
        Rows that nothing has seen.
    synthetic
        Synthetic table.
    schema
        Schema file.
    epsilon
        ε of the release: turns on a model that is trained on real rows with the same budget.
    delta
        δ of the release.
    seed
        Governs subsampling, folds and learners; it has nothing to do with privacy.
    page
        Confidential HTML page to write; an existing file is not replaced.
    output
        Evidence file to write; an existing file is not replaced.
    as_json
        Print one JSON document.
    """
    from benchmarks.evaluate import evaluate as measure
    from dpsynth.errors import UsageError, require_extra
    from dpsynth.evidence import table_sha256
    from dpsynth.files import require_writable
    from dpsynth.privacy import Budget
    from dpsynth.schema import Schema

    if (epsilon is None) != (delta is None):
        raise UsageError("a budget is an ε and a δ.", fix="give both --epsilon and --delta.")
    budget = None
    if epsilon is not None and delta is not None:
        budget = Budget(epsilon=epsilon, delta=delta)
    if page is not None and output is not None and page.resolve() == output.resolve():
        raise UsageError("page and evidence are one file.", fix="give two names.")
    if page is not None:
        # A page that cannot be made is refused before minutes of work.
        require_extra("jinja2", extra="report", purpose="a page")
    for path in (page, output):
        if path is not None:
            require_writable(path)
    report = measure(
        synthetic,
        fit,
        holdout,
        Schema.read(schema),
        seed=seed,
        table_sha256=table_sha256(synthetic),
        budget=budget,
        progress=lambda part: say(f"measuring: {part}"),
    )
    out(report.to_dict(), str(report), as_json)
    if output is not None:
        report.evidence().write(output)
    if page is not None:
        report.save(page)
        say(f"{page} is confidential")
