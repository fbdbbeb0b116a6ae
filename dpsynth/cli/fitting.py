"""Commands that plan, fit and sample."""

from __future__ import annotations

import textwrap
from pathlib import Path

from dpsynth.cli.console import (
    AsJson,
    Progress,
    RequiredOutput,
    Rows,
    custodian_key,
    out,
    say,
    synthesizer,
)


def plan(
    *,
    schema: Path,
    method: str = "auto",
    epsilon: float,
    delta: float,
    rows: int | None = None,
    as_json: AsJson = False,
) -> None:
    """Show what a fit would spend; no data is touched.

    Parameters
    ----------
    schema
        Schema file.
    method
        dp-autoregressive, dp-ctgan, dp-vae, pate-gan, mst, independent, or auto: chosen from the
        budget, the rows that are declared and the schema.
    epsilon
        ε to spend.
    delta
        δ to spend.
    rows
        Public guess of the number of rows.
    as_json
        Print one JSON document.
    """
    from dpsynth.accountant import Accountant
    from dpsynth.privacy import Budget

    planned = synthesizer(schema, method, epsilon=epsilon, delta=delta, rows=rows).plan(
        Budget(epsilon=epsilon, delta=delta), rows=rows
    )
    accountant = Accountant(planned.mechanisms)
    total = accountant.certificate(delta)
    lines = [
        f"method      {planned.method}",
        f"protected   {planned.unit.describe()}, relation {planned.unit.relation}",
        f"total       ε = {total} at δ = {delta}",
        "",
        "step                      ε alone   mechanism",
    ]
    steps = []
    for charge in planned.charges:
        alone = Accountant([charge.mechanism]).certificate(delta)
        spec = {k: v for k, v in charge.mechanism.spec().items() if k not in ("kind", "relation")}
        numbers = ", ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in spec.items()
        )
        lines.append(f"{charge.step:<25} {alone:>7.3f}   {charge.mechanism.kind}: {numbers}")
        steps.append({"step": charge.step, "epsilon_alone": alone})
    lines += ["", *textwrap.wrap(accountant.explain(delta), 96)]
    out({**planned.spec(), "epsilon": total, "steps": steps}, "\n".join(lines), as_json)


def fit(
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
    key: Path | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Spend a budget on fitting a method to a table.

    Parameters
    ----------
    data
        CSV or Parquet file with the sensitive rows; opened after the ledger has granted the spend.
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
        Model file to write; an existing file is not replaced.
    rows
        Public guess of the number of rows.
    key
        Custodian's key, which recognises the table as the one that was entered.
    checkpoint
        File that keeps what a long fit has released so far. The same command goes on from it after
        an interruption, within the same charge; it is removed when the model is written.
    """
    from dpsynth.files import require_writable
    from dpsynth.ledger import Ledger
    from dpsynth.privacy import Budget

    require_writable(output)
    if checkpoint is not None and not checkpoint.exists():
        require_writable(checkpoint)
    model = synthesizer(schema, method, epsilon=epsilon, delta=delta, rows=rows)
    with Ledger.open(ledger) as book, Progress(epsilon) as progress:
        try:
            model.fit(
                data,
                budget=Budget(epsilon=epsilon, delta=delta),
                ledger=book,
                dataset=dataset,
                rows=rows,
                progress=progress,
                key=custodian_key(key),
                checkpoint=checkpoint,
            )
        except KeyboardInterrupt:
            if checkpoint is not None and checkpoint.exists():
                say("the same command goes on from the checkpoint, within the same charge")
            raise
    model.save(output)
    print(output)


def sample(
    model: Path, *, rows: Rows = None, output: RequiredOutput, seed: int | None = None
) -> None:
    """Draw a synthetic table from a model; costs no privacy.

    Parameters
    ----------
    model
        Model file.
    rows
        Number of rows; by default the noisy number of rows that the fit bought.
    output
        .csv or .parquet file to write; an existing file is not replaced.
    seed
        Makes the draw repeatable.
    """
    from dpsynth.files import require_writable
    from dpsynth.methods import load
    from dpsynth.table import write_frame

    require_writable(output)
    write_frame(load(model).sample(rows, seed=seed), output)
    print(output)
