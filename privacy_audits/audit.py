"""The audit of one release: attacks on its table, canaries in its method, one report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from dpsynth.errors import DataError, UsageError
from dpsynth.evidence import table_sha256 as digest_of
from dpsynth.files import Source, read_columns
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget
from dpsynth.schema import Kind, Schema
from dpsynth.synthesizer import Synthesizer
from privacy_audits.attacks import Clique, Coins, audit_table
from privacy_audits.canaries import audit_method, has_canaries
from privacy_audits.gate import Policy
from privacy_audits.report import AuditReport

SEED = 0
"""Of the attacks: the same table gives the same figures. Coins, canaries and noise have none."""


def audit(
    synthetic: Source,
    fit: Source,
    holdout: Source,
    schema: Schema,
    *,
    claim: Budget | None = None,
    model: Synthesizer | None = None,
    canaries: int = 1000,
    coins: Coins | None = None,
    cliques: Sequence[Clique] | None = None,
    policy: Policy | None = None,
    table_sha256: str | None = None,
    seed: int = SEED,
    few: bool = False,
) -> AuditReport:
    """Attack a released table and, given its model, the method that made it.

    Parameters
    ----------
    synthetic : path, DataFrame or Arrow table
        The released table.
    fit, holdout : path, DataFrame or Arrow table
        Rows that were fitted, and rows that nothing has seen.
    schema : Schema
        Public facts.
    claim : Budget, optional
        The (ε, δ) that is claimed; the model's by default.
    model : Synthesizer, optional
        The fitted model that the table was drawn from. Its plan is run again on the released
        table and canaries, which spends nothing. A method without canaries leaves the audit
        inconclusive.
    canaries : int
        Canaries of that run.
    coins : Coins, optional
        Recorded coins that chose who was fitted.
    cliques : sequence of Clique, optional
        Marginals that the method measured; by default what the model says, or every single column.
    policy : Policy, optional
        What is accepted, fixed beforehand.
    table_sha256 : str, optional
        Digest of the released file, to bind the evidence to.
    seed : int
        Seed of the attacks.
    few : bool
        Whether too few held-out units leave the audit inconclusive, instead of an error.

    Raises
    ------
    UsageError
        If claim and model, or schema and model, do not belong together.
    DataError
        If a table does not have the form that the schema declares, or held-out rows were fitted.

    Privacy
    -------
    The report is confidential. The canaries' part reads the released table only.
    """
    if model is not None:
        if model.schema.digest() != schema.digest():
            raise UsageError("the model was fitted under another schema.", fix="give its schema.")
        if claim is not None and claim != model.plan_.budget:
            raise UsageError(
                "the model was fitted under another budget than the claim.",
                fix="leave the claim to the model.",
            )
        claim = model.plan_.budget
        if cliques is None:
            cliques = [Clique(columns=columns) for columns in model.cliques()]
    _refuse_one_file(fit, holdout)
    table = audit_table(
        synthetic,
        fit,
        holdout,
        schema,
        coins=coins,
        claim=claim,
        cliques=cliques,
        few=few,
        rng=np.random.default_rng(seed),
    )
    found = None
    if model is not None and has_canaries(model):
        # Whoever knew the coins would know the answers: they come from the system.
        found = audit_method(
            model,
            _as_units(synthetic, schema),
            rng=NoiseSource.from_entropy().generator,
            canaries=canaries,
        )
    return AuditReport(
        schema_name=schema.name,
        schema_sha256=schema.digest(),
        table_sha256=table_sha256,
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        policy=policy or Policy(),
        table=table,
        method=None if model is None else model.method,
        canaries=found,
    )


def _refuse_one_file(fit: Source, holdout: Source) -> None:
    if isinstance(fit, str | Path) and isinstance(holdout, str | Path):
        if digest_of(fit) == digest_of(holdout):
            raise DataError(
                "the fitted and the held-out rows are one file.",
                code="DPS414",
                fix="give rows that nothing has seen: dpsynth split makes them.",
            )


def _as_units(synthetic: Source, schema: Schema) -> pd.DataFrame:
    """Return released rows with keys of their own: a method that is run on them needs units."""
    frame = read_columns(synthetic, [column.name for column in schema.modelled])
    keys = [column.name for column in schema.columns if column.kind == Kind.KEY]
    return frame.assign(**dict.fromkeys(keys, np.arange(len(frame))))
