"""Commands that release and verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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


def release(
    source: Path,
    *,
    output: Output = None,
    schema: Path | None = None,
    method: str | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    ledger: str | None = None,
    dataset: str | None = None,
    rows: int | None = None,
    sample: int | None = None,
    key: Path | None = None,
    print_config: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Fit, sample, attack, evaluate and seal a bundle that a recipient can verify.

    Example: dpsynth release dpsynth.toml -o release

    Exit code 5 where a rule stops the table: then there is no bundle, and OUTPUT-internal says why.

    Parameters
    ----------
    source
        dpsynth.toml, which dpsynth init writes, or the CSV or Parquet file with the sensitive
        rows. Flags win over DPSYNTH_<SECTION>_<KEY>, and these over the file.
    output
        Release folder to create; what is confidential goes to OUTPUT-internal.
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
    rows
        Public guess of the number of rows.
    sample
        Synthetic rows; by default the noisy number of fitted rows.
    key
        Custodian's key, which recognises the table as the one that was entered.
    print_config
        Print the effective configuration, with where each value comes from, and stop.
    """
    from dpsynth import workflow
    from dpsynth.config import ReleaseConfig
    from dpsynth.errors import UsageError
    from dpsynth.ledger import Ledger

    is_config = source.suffix == ".toml"
    config = ReleaseConfig.read(
        source if is_config else None,
        flags={
            "files.table": None if is_config else source,
            "files.schema": schema,
            "method.name": method,
            "method.rows": rows,
            "method.sample": sample,
            "budget.epsilon": epsilon,
            "budget.delta": delta,
            "ledger.address": ledger,
            "ledger.dataset": dataset,
            "ledger.key": key,
        },
    )
    if print_config:
        print(config.to_toml(), end="")
        return
    if output is None:
        raise UsageError("a release needs a folder.", fix="give -o release.")
    budget, choice = config.budget, config.method
    model = synthesizer(
        config.files.schema,
        choice.name,
        epsilon=budget.epsilon,
        delta=budget.delta,
        rows=choice.rows,
    )
    with Ledger.open(config.ledger.address) as book, Progress(budget.epsilon) as progress:
        done = workflow.release(
            config.files.table,
            model,
            budget=budget,
            ledger=book,
            dataset=config.ledger.dataset,
            out=output,
            criteria=config.criteria,
            facts=config.publication,
            rows=choice.rows,
            n=choice.sample,
            progress=progress,
            say=say,
            key=custodian_key(config.ledger.key),
        )
    # Figures computed from real rows do not belong into the log of a terminal or a server.
    say(f"{done.internal} is confidential: what the table is good for, and what an audit saw")
    print(done.bundle)


def init(
    schema: Path,
    *,
    data: Path | None = None,
    ledger: str = "ledger.db",
    dataset: str | None = None,
    output: Output = Path("dpsynth.toml"),
) -> None:
    """Write a commented dpsynth.toml for a schema.

    Example: dpsynth init schema.toml --data visits.csv --dataset visits-2026 -o dpsynth.toml

    Parameters
    ----------
    schema
        Schema file.
    data
        CSV or Parquet file with the sensitive rows; it is not opened.
    ledger
        Ledger file, or the URL of its database.
    dataset
        Name of the dataset in the ledger; by default that of the schema's table.
    output
        File to write; an existing file is not replaced.
    """
    from dpsynth.config import template
    from dpsynth.files import write_bytes
    from dpsynth.schema import Schema

    assert output is not None
    name = Schema.read(schema).name
    text = template(
        schema,
        table=data or output.parent / f"{name}.csv",
        ledger=ledger,
        dataset=dataset or name,
        folder=output.parent,
    )
    write_bytes(output, text.encode())
    print(output)


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
