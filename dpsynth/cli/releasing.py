"""Commands that evaluate, release and verify."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dpsynth.cli.console import (
    AsJson,
    Output,
    Progress,
    RequiredOutput,
    custodian_key,
    out,
    say,
    synthesizer,
)

Disclosure = Literal["internal", "dp", "public-reference"]


def evaluate(
    *,
    fit: Path,
    holdout: Path | None = None,
    synthetic: Path,
    schema: Path,
    disclosure: Disclosure = "internal",
    ledger: str | None = None,
    dataset: str | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    key: Path | None = None,
    reference: Path | None = None,
    source: str | None = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a synthetic table is still good for. The result is confidential.

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
    disclosure
        internal, dp or public-reference.
    ledger
        dp: ledger file, or the URL of its database. public-reference: a ledger whose datasets the
        reference must not be.
    dataset
        dp: name of the dataset in the ledger.
    epsilon
        dp: ε to spend; by default 5 % of the ledger's, at most 0.1.
    delta
        dp: δ to spend; by default the ledger's.
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
    from dpsynth.evidence import table_sha256
    from dpsynth.files import require_writable
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
        },
    )
    if output is not None:
        require_writable(output)
    terms = Schema.read(schema)
    if disclosure == "dp":
        assert ledger is not None
        assert dataset is not None
        report = disclosing.bought(
            synthetic, fit, terms, ledger=ledger, dataset=dataset, epsilon=epsilon, delta=delta,
            key=key,
        )  # fmt: skip
    elif disclosure == "public-reference":
        assert reference is not None
        assert source is not None
        sensitive = [path for path in (fit, holdout) if path is not None]
        report = disclosing.public(
            synthetic, reference, terms, source=source, sensitive=sensitive, ledger=ledger, key=key
        )
    else:
        from benchmarks.evaluate import evaluate as measure

        assert holdout is not None
        report = measure(synthetic, fit, holdout, terms, table_sha256=table_sha256(synthetic))
    out(report.to_dict(), str(report), as_json)
    if output is not None:
        report.evidence().write(output)


def release(
    data: Path,
    *,
    schema: Path,
    method: str = "auto",
    epsilon: float,
    delta: float,
    ledger: str,
    dataset: str,
    output: RequiredOutput,
    rows: int | None = None,
    holdout: float = 0.2,
    key: Path | None = None,
) -> None:
    """Fit, sample, evaluate and seal a bundle that a recipient can verify.

    Parameters
    ----------
    data
        CSV or Parquet file with the sensitive rows.
    schema
        Schema file.
    method
        dp-autoregressive, dp-ctgan, dp-vae, pate-gan, mst, independent, or auto: chosen from the
        budget, the rows that are declared and the schema.
    epsilon
        ε to spend.
    delta
        δ to spend.
    ledger
        Ledger file, or the URL of its database.
    dataset
        Name of the dataset in the ledger.
    output
        Release folder to create; what is confidential goes to OUTPUT-internal.
    rows
        Public guess of the number of rows.
    holdout
        Chance of every unit to be held out for the evaluation.
    key
        Custodian's key, which recognises the table as the one that was entered.
    """
    from dpsynth import workflow
    from dpsynth.ledger import Ledger
    from dpsynth.privacy import Budget

    with Ledger.open(ledger) as book, Progress(epsilon) as progress:
        done = workflow.release(
            data,
            synthesizer(schema, method, epsilon=epsilon, delta=delta, rows=rows),
            budget=Budget(epsilon=epsilon, delta=delta),
            ledger=book,
            dataset=dataset,
            out=output,
            rows=rows,
            holdout=holdout,
            progress=progress,
            key=custodian_key(key),
        )
    say(str(done.report))
    print(done.bundle)


def verify(bundle: Path, *, key: Path | None = None, as_json: AsJson = False) -> None:
    """Check a release as its recipient; no sensitive data is needed.

    Parameters
    ----------
    bundle
        Release folder.
    key
        The custodian's public key; then the release must be signed with it.
    as_json
        Print one JSON document.
    """
    from dpsynth.errors import IntegrityError
    from dpsynth.release import verify as check

    checks = check(bundle, key=key)
    lines = [
        f"{'ok    ' if c.passed else 'FAILED'}  {c.name}" + (f" ({c.detail})" if c.detail else "")
        for c in checks
    ]
    document = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
    out({"checks": document, "ok": all(c.passed for c in checks)}, "\n".join(lines), as_json)
    failed = [c.name for c in checks if not c.passed]
    if failed:
        raise IntegrityError(f"the release does not verify: {', '.join(failed)}.", code="DPS604")


def sign(bundle: Path, *, key: Path) -> None:
    """Sign a sealed release, so that recipients can tell whose it is.

    Parameters
    ----------
    bundle
        Release folder; it receives SHA256SUMS.sig.
    key
        Ed25519 private key: dpsynth ledger key --signing makes one.
    """
    from dpsynth.release import sign as write_signature

    print(write_signature(bundle, key))


def demo(*, output: RequiredOutput = Path("demo-release")) -> None:
    """Release a real table: the RAND Health Insurance Experiment, protected per person.

    Parameters
    ----------
    output
        Folder to create; it receives the bundle, the ledger and the confidential report.
    """
    from dpsynth.demo import run_demo

    with Progress(3.0) as progress:
        print(run_demo(output, progress=progress, say=say))
