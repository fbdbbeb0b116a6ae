"""The whole chain as one function: fit, sample, evaluate, audit, seal.

The only library module that imports a sibling package.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluate import evaluate
from benchmarks.report import UtilityReport
from dpsynth.errors import DPSynthError, UsageError
from dpsynth.files import csv_bytes, require_writable
from dpsynth.identity import CustodianKey
from dpsynth.ledger import Ledger
from dpsynth.privacy import Budget
from dpsynth.release import make_internal, refuse_existing, require_tools, seal
from dpsynth.synthesizer import Progress, Synthesizer
from dpsynth.table import Source, TableReader
from privacy_audits.audit import audit

MODEL = "model.dpsynth"


@dataclass(frozen=True, slots=True)
class Released:
    """What a finished chain hands back.

    Parameters
    ----------
    bundle : Path
        The release folder.
    internal : Path
        The confidential folder.
    report : UtilityReport
        Computed from real rows: confidential.
    """

    bundle: Path
    internal: Path
    report: UtilityReport


def release(
    data: Source,
    synthesizer: Synthesizer,
    *,
    budget: Budget,
    ledger: Ledger,
    dataset: str,
    out: Path,
    rows: int | None = None,
    n: int | None = None,
    holdout: float = 0.2,
    progress: Progress | None = None,
    key: CustodianKey | None = None,
) -> Released:
    """Fit, sample, evaluate, audit and seal.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The sensitive table.
    synthesizer : Synthesizer
        An unfitted method.
    budget : Budget
        What to spend.
    ledger : Ledger
        Where it is booked.
    dataset : str
        Name of the dataset in the ledger.
    out : Path
        Release folder to create; the confidential one is created beside it.
    rows : int, optional
        Public guess of the number of rows.
    n : int, optional
        Synthetic rows; by default the noisy number of fitted rows.
    holdout : float
        Chance of every unit to be held out of the fit for the evaluation.
    progress : callable, optional
        Receives (steps done, steps in all).
    key : CustodianKey, optional
        Recognises the table as the one that was entered in the ledger.

    Raises
    ------
    BudgetError, DataError, GateError, IntegrityError
        Nothing is left at ``out``. What fails after the fit says where the fitted model was kept:
        its budget is spent, its samples are free.

    Privacy
    -------
    The table that is evaluated is the table that is sealed; nothing is fitted again after the
    evaluation, and no figure of the evaluation enters the release.
    """
    if not 0 < holdout < 1:
        raise UsageError(
            f"holdout must lie in (0, 1), got {holdout}.",
            fix="a release is evaluated on rows that were held out.",
        )
    internal = out.with_name(out.name + "-internal")
    refuse_existing(out)
    refuse_existing(internal)
    require_tools()
    # What could not be written at the end is refused before anything is spent.
    require_writable(internal)
    reader = TableReader(data, synthesizer.schema, holdout=holdout)
    synthesizer.fit(
        reader,
        budget=budget,
        ledger=ledger,
        dataset=dataset,
        rows=rows,
        progress=progress,
        key=key,
    )
    make_internal(internal)
    synthesizer.save(internal / MODEL)
    try:
        report = _evaluate_and_seal(synthesizer, reader, ledger, n=n, out=out, internal=internal)
    except DPSynthError as error:
        kept = f"the fitted model is kept at {str(internal / MODEL)!r}."
        error.fix = f"{error.fix} {kept}" if error.fix else kept
        raise
    return Released(out, internal, report)


def _evaluate_and_seal(
    synthesizer: Synthesizer,
    reader: TableReader,
    ledger: Ledger,
    *,
    n: int | None,
    out: Path,
    internal: Path,
) -> UtilityReport:
    synthetic = synthesizer.sample(n)
    digest = hashlib.sha256(csv_bytes(synthetic)).hexdigest()
    schema, fitted, held_out = synthesizer.schema, reader.fit_rows, reader.holdout_rows
    report = evaluate(synthetic, fitted, held_out, schema, table_sha256=digest)
    attacked = audit(synthetic, fitted, held_out, schema, model=synthesizer, table_sha256=digest)
    seal(
        synthetic,
        synthesizer,
        ledger=ledger,
        evidence=[report.evidence(), attacked.evidence(), attacked.public_evidence()],
        out=out,
        internal=internal,
    )
    return report
