"""The command that measures what a synthetic table is still good for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dpsynth.cli.console import AsJson, Output, claimed, hand_over, say

if TYPE_CHECKING:
    from benchmarks.report import UtilityReport
    from dpsynth.schema import Schema

Disclosure = Literal["internal", "dp", "public-reference"]


def evaluate(
    *,
    fit: Path,
    holdout: Path | None = None,
    synthetic: Path,
    schema: Path,
    epsilon: float | None = None,
    delta: float | None = None,
    seed: int = 0,
    page: Path | None = None,
    disclosure: Disclosure = "internal",
    ledger: str | None = None,
    dataset: str | None = None,
    key: Path | None = None,
    reference: Path | None = None,
    source: str | None = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a synthetic table is still good for. The result is confidential.

    Example: dpsynth evaluate --fit fit.csv --holdout holdout.csv --synthetic synthetic.csv
    --schema schema.toml --epsilon 1 --delta 1e-6 --page evaluate.html

    Prints a scorecard, what the table is fit for, and where it is worst. Spends nothing.

    With --disclosure dp a few noisy figures are bought from the ledger, with --disclosure
    public-reference the table is compared with a public one: these results may be published.

    Parameters
    ----------
    fit
        Rows that the model was fitted to.
    holdout
        Rows that nothing has seen. Needed for an internal evaluation.
    synthetic
        Synthetic table.
    schema
        Schema file.
    epsilon
        internal: ε of the release, which turns on a model that is trained on real rows with the
        same budget. dp: ε to spend; by default 5 % of the ledger's, at most 0.1.
    delta
        internal: δ of the release. dp: δ to spend; by default the ledger's.
    seed
        Governs subsampling, folds and learners; it has nothing to do with privacy.
    page
        internal: confidential HTML page to write; an existing file is not replaced.
    disclosure
        internal, dp or public-reference.
    ledger
        dp: ledger file, or the URL of its database. public-reference: a ledger whose datasets the
        reference must not be.
    dataset
        dp: name of the dataset in the ledger.
    key
        Custodian's key, which recognises the tables that were entered in the ledger.
    reference
        public-reference: file of the public table.
    source
        public-reference: where it was published.
    output
        Evidence file to write; an existing file is not replaced.
    as_json
        Print one JSON document.
    """
    from dpsynth.cli import disclosing
    from dpsynth.files import require_outputs
    from dpsynth.schema import Schema

    disclosing.require_options(
        disclosure,
        {
            "holdout": holdout,
            "ledger": ledger,
            "dataset": dataset,
            "epsilon": epsilon,
            "delta": delta,
            "key": key,
            "reference": reference,
            "source": source,
            "page": page,
        },
    )
    require_outputs(page=page, output=output)
    terms = Schema.read(schema)
    if disclosure == "internal":
        assert holdout is not None
        report = _confidential(
            synthetic, fit, holdout, terms, epsilon=epsilon, delta=delta, seed=seed, page=page
        )
    elif disclosure == "dp":
        assert ledger is not None
        assert dataset is not None
        report = disclosing.bought(
            synthetic, fit, terms, ledger=ledger, dataset=dataset, epsilon=epsilon, delta=delta,
            key=key,
        )  # fmt: skip
    else:
        assert reference is not None
        assert source is not None
        sensitive = [path for path in (fit, holdout) if path is not None]
        report = disclosing.public(
            synthetic, reference, terms, source=source, sensitive=sensitive, ledger=ledger, key=key,
            seed=seed,
        )  # fmt: skip
    hand_over(report, page=page, output=output, as_json=as_json)


def _confidential(
    synthetic: Path,
    fit: Path,
    holdout: Path,
    schema: Schema,
    *,
    epsilon: float | None,
    delta: float | None,
    seed: int,
    page: Path | None,
) -> UtilityReport:
    from benchmarks.evaluate import evaluate as measure
    from dpsynth.errors import require_extra
    from dpsynth.evidence import table_sha256

    budget = claimed(epsilon, delta)
    if page is not None:
        # A page that cannot be made is refused before minutes of work.
        require_extra("jinja2", extra="report", purpose="a page")
    return measure(
        synthetic,
        fit,
        holdout,
        schema,
        seed=seed,
        table_sha256=table_sha256(synthetic),
        budget=budget,
        progress=lambda part: say(f"measuring: {part}"),
    )
