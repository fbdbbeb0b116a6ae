"""Commands that release and verify."""

from __future__ import annotations

from pathlib import Path

from dpsynth.cli.console import (
    AsJson,
    Progress,
    RequiredOutput,
    custodian_key,
    out,
    say,
    synthesizer,
)


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


def verify(bundle: Path, *, as_json: AsJson = False) -> None:
    """Check a release as its recipient; no sensitive data is needed.

    Parameters
    ----------
    bundle
        Release folder.
    as_json
        Print one JSON document.
    """
    from dpsynth.errors import IntegrityError
    from dpsynth.release import verify as check

    checks = check(bundle)
    lines = [
        f"{'ok    ' if c.passed else 'FAILED'}  {c.name}"
        + (f" ({c.detail})" if c.detail and not c.passed else "")
        for c in checks
    ]
    document = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
    out({"checks": document, "ok": all(c.passed for c in checks)}, "\n".join(lines), as_json)
    failed = [c.name for c in checks if not c.passed]
    if failed:
        raise IntegrityError(f"the release does not verify: {', '.join(failed)}.", code="DPS604")


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
