"""The commands that prepare and make an audit."""

from __future__ import annotations

from pathlib import Path

from dpsynth.cli.console import AsJson, Output, RequiredOutput, claimed, hand_over


def audit(
    *,
    fit: Path,
    holdout: Path,
    synthetic: Path,
    schema: Path,
    model: Path | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    coins: Path | None = None,
    canaries: int = 1000,
    page: Path | None = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Attack a synthetic table, and its method, as an adversary would. The result is confidential.

    Exit code 5 where the verdict is BLOCK.

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
    model
        Model that the table was drawn from: its method is run again on the table and canaries,
        which spends nothing, and its budget is the claim.
    epsilon
        Claimed ε, where there is no model.
    delta
        Claimed δ, where there is no model.
    coins
        File of recorded coins that chose who was fitted; without it bounds from the table are
        heuristic.
    canaries
        Canaries in the method.
    page
        Confidential HTML page to write; an existing file is not replaced.
    output
        Evidence file to write; an existing file is not replaced.
    as_json
        Print one JSON document.
    """
    from dpsynth.errors import GateError
    from dpsynth.evidence import Verdict, table_sha256
    from dpsynth.files import require_outputs
    from dpsynth.methods import load
    from dpsynth.schema import Schema
    from privacy_audits.attacks import Coins
    from privacy_audits.audit import audit as attack

    require_outputs(page=page, output=output)
    claim = claimed(epsilon, delta)
    tossed = None if coins is None else Coins.read(coins)
    if tossed is not None:
        tossed.check_files(fit, holdout)
    report = attack(
        synthetic,
        fit,
        holdout,
        Schema.read(schema),
        claim=claim,
        model=None if model is None else load(model),
        canaries=canaries,
        coins=tossed,
        table_sha256=table_sha256(synthetic),
    )
    hand_over(report, page=page, output=output, as_json=as_json)
    if report.verdict == Verdict.FAIL:
        raise GateError(
            "the audit blocks this table.",
            code="DPS303",
            fix="the findings say why; do not audit again until it passes.",
        )


def split(
    data: Path,
    *,
    schema: Path,
    output: RequiredOutput,
    audited: float = 0.2,
    reference: float = 0.1,
) -> None:
    """Divide a table into rows to fit and rows to hold out, by coins that an audit can use.

    The folder holds fit.csv, holdout.csv and coins.json: all of it is confidential.

    Parameters
    ----------
    data
        CSV or Parquet file with the sensitive rows.
    schema
        Schema file; all rows of a unit go the same way.
    output
        Folder to create.
    audited
        Chance of every unit to be an audit record, which a fair coin fits or holds out.
    reference
        Chance of every unit to be held out for comparison.
    """
    from dpsynth.files import refuse_existing, write_frame
    from dpsynth.noise import NoiseSource
    from dpsynth.release import make_internal
    from dpsynth.schema import Schema
    from privacy_audits.attacks import Design, split_audit

    refuse_existing(output)
    # Whoever could predict the coins would know who was fitted.
    parts = split_audit(
        data,
        Schema.read(schema),
        design=Design(audited=audited, reference=reference),
        rng=NoiseSource.from_entropy().generator,
    )
    make_internal(output)
    write_frame(parts.fitted, output / "fit.csv", mode=0o600)
    write_frame(parts.held_out, output / "holdout.csv", mode=0o600)
    coins = parts.coins.bound(output / "fit.csv", output / "holdout.csv")
    coins.write(output / "coins.json")
    print(output)
