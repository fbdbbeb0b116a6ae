"""The whole chain as one function: fit, sample, attack, evaluate, decide, seal.

The only library module that imports both sibling packages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.disclosure import Reservation, evaluate_dp, reserve_evaluation
from benchmarks.evaluate import evaluate
from benchmarks.report import UtilityReport
from dpsynth.criteria import Criteria, judged
from dpsynth.errors import DPSynthError, GateError, UsageError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.files import csv_bytes, require_writable, write_frame
from dpsynth.identity import CustodianKey
from dpsynth.ledger import Ledger
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, canonical_sha256
from dpsynth.release import (
    PublicationFacts,
    refuse_existing,
    require_tools,
    seal,
)
from dpsynth.synthesizer import Progress, Synthesizer
from dpsynth.table import Source
from privacy_audits.attacks import LEAST, CoinReader, Coins, FittedRows
from privacy_audits.audit import audit
from privacy_audits.report import AuditReport

MODEL, FITTED, HELD_OUT, COINS = "model.dpsynth", "fit.csv", "holdout.csv", "coins.json"
UTILITY_PAGE, AUDIT_PAGE = "utility.html", "audit.html"
"""Files of the confidential folder."""

Say = Callable[[str], None]


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
    audit : AuditReport
        Computed from real rows: confidential.
    """

    bundle: Path
    internal: Path
    report: UtilityReport
    audit: AuditReport


def release(
    data: Source,
    synthesizer: Synthesizer,
    *,
    budget: Budget,
    ledger: Ledger,
    dataset: str,
    out: Path,
    criteria: Criteria | None = None,
    facts: PublicationFacts | None = None,
    rows: int | None = None,
    n: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    key: CustodianKey | None = None,
    noise: NoiseSource | None = None,
) -> Released:
    """Fit, sample, attack, evaluate, decide and seal.

    Parameters
    ----------
    data : path, DataFrame or Arrow table
        The sensitive table.
    synthesizer : Synthesizer
        An unfitted method.
    budget : Budget
        What the fit may spend; figures that are bought cost more.
    ledger : Ledger
        Where it is booked.
    dataset : str
        Name of the dataset in the ledger.
    out : Path
        Release folder to create; the confidential one is created beside it.
    criteria : Criteria, optional
        What must be reached; the stated defaults if there are none. Their digest is taken before
        the table is opened.
    facts : PublicationFacts, optional
        What the custodian states.
    rows : int, optional
        Public guess of the number of rows.
    n : int, optional
        Synthetic rows; by default the noisy number of fitted rows.
    progress : callable, optional
        Receives (steps done, steps in all) of the fit.
    say : callable, optional
        Is told which stage begins.
    key : CustodianKey, optional
        Recognises the table as the one that was entered in the ledger.
    noise : NoiseSource, optional
        Operating system entropy by default; nothing else can be sealed.

    Returns
    -------
    Released
        The bundle, the confidential folder and both confidential reports.

    Raises
    ------
    BudgetError
        If the ledger refuses; the table was not opened.
    GateError
        If nothing could be sealed (``DPS301``): nothing is spent. If a rule stops the table
        (``DPS302``, ``DPS303``): the confidential folder then says why, and there is no bundle;
        the budget is spent, another try is another charge.
    DataError, IntegrityError
        Nothing is left at ``out``. What fails after the fit says where the fitted model was kept:
        its budget is spent, its samples are free.

    Privacy
    -------
    The table that is evaluated is the table that is sealed; nothing is fitted again after that.
    What stops a table by itself is a function of the table, of canaries, of figures that were paid
    for, or a test on real rows whose chance of a false stop is at most δ e^-ε / 10
    (:mod:`privacy_audits.gate`): releasing a table or nothing then costs next to nothing. No other
    figure computed from real rows decides anything or enters the release.
    """
    criteria = criteria or Criteria()
    fixed = canonical_sha256(criteria.to_dict())
    tell = say or _silent
    internal = out.with_name(out.name + "-internal")
    refuse_existing(out)
    refuse_existing(internal)
    require_tools()
    # What could not be written at the end is refused before anything is spent.
    require_writable(internal)
    _require_people(synthesizer, rows, criteria, tell)
    if synthesizer.schema.research or (noise is not None and not noise.releasable):
        raise GateError(
            "with a fixed noise seed, or schema facts taken from the data, nothing can be sealed.",
            code="DPS301",
            fix="use operating system entropy and a schema of public facts.",
        )
    reader = CoinReader(data, synthesizer.schema, design=criteria.audit.design)
    with ExitStack() as open_charges:
        open_charges.enter_context(_claimed(internal))
        reservation = None
        if criteria.purchase.epsilon > 0:
            # Booked before the fit: a ledger that has no room for both refuses at once.
            reservation = open_charges.enter_context(
                reserve_evaluation(
                    ledger, dataset, synthesizer.schema, epsilon=criteria.purchase.epsilon
                )
            )
            _require_figures(reservation, synthesizer, criteria)
        tell(f"booking and fitting {synthesizer.method}")
        synthesizer.fit(
            reader,
            budget=budget,
            ledger=ledger,
            dataset=dataset,
            rows=rows,
            progress=progress,
            key=key,
            noise=noise,
        )
        synthesizer.save(internal / MODEL)
        (internal / MODEL).chmod(0o600)
        try:
            chain = _Chain(synthesizer, reader, ledger, criteria, fixed, internal, tell)
            synthetic = synthesizer.sample(n)
            report, attacked, evidence = chain.examine(synthetic, dataset, key, reservation)
            tell("sealing")
            seal(
                synthetic,
                synthesizer,
                ledger=ledger,
                evidence=evidence,
                out=out,
                internal=internal,
                facts=facts,
                criteria=criteria.to_dict(),
            )
        except DPSynthError as error:
            kept = f"the fitted model is kept at {str(internal / MODEL)!r}."
            error.fix = f"{error.fix} {kept}" if error.fix else kept
            raise
    return Released(out, internal, report, attacked)


@dataclass(frozen=True, slots=True, repr=False)
class _Chain:
    """What is done with a synthetic table between sampling and sealing."""

    model: Synthesizer
    reader: CoinReader
    ledger: Ledger
    criteria: Criteria
    fixed: str
    internal: Path
    tell: Say

    def examine(
        self,
        synthetic: pd.DataFrame,
        dataset: str,
        key: CustodianKey | None,
        reservation: Reservation | None,
    ) -> tuple[UtilityReport, AuditReport, list[Evidence]]:
        """Attack, evaluate, buy figures, write down all of it, and decide."""
        digest = hashlib.sha256(csv_bytes(synthetic)).hexdigest()
        schema, fitted, held_out = self.model.schema, self.reader.fitted, self.reader.held_out
        coins = self._keep_rows()
        self.tell("attacking the table and its method")
        attacked = audit(
            synthetic,
            fitted,
            held_out,
            schema,
            model=self.model,
            canaries=self.criteria.audit.canaries,
            coins=coins,
            policy=self.criteria.policy,
            table_sha256=digest,
            # An error would stop the release by the number of rows, which is private.
            few=True,
        )
        # Entered before anybody can read it: whoever stops here must not try again unseen.
        evidence = [attacked.evidence(), attacked.public_evidence()]
        self._enter(evidence)
        attacked.save(self.internal / AUDIT_PAGE)
        report = evaluate(
            synthetic,
            fitted,
            held_out,
            schema,
            table_sha256=digest,
            budget=self.model.plan_.budget,
            thresholds=self.criteria.uses,
            progress=lambda part: self.tell(f"measuring: {part}"),
        )
        evidence.append(report.evidence())
        self._enter(evidence[-1:])
        report.save(self.internal / UTILITY_PAGE)
        if reservation is not None:
            self.tell("buying figures for the public")
            bought = evaluate_dp(
                synthetic,
                FittedRows(self.reader),
                schema,
                ledger=self.ledger,
                dataset=dataset,
                key=key,
                table_sha256=digest,
                reservation=reservation,
            )
            evidence.append(judged(bought, self.criteria.purchase))
            self._enter(evidence[-1:])
        self._decide(evidence)
        return report, attacked, evidence

    def _enter(self, evidence: Sequence[Evidence]) -> None:
        for item in evidence:
            self.ledger.record_verdict(
                item,
                criteria_sha256=self.fixed,
                charge_id=self.model.privacy_["ledger"]["charge"],
            )

    def _keep_rows(self) -> Coins:
        """Keep who was held out: an audit of this table can be repeated, and only with it."""
        write_frame(self.reader.fitted, self.internal / FITTED, mode=0o600)
        write_frame(self.reader.held_out, self.internal / HELD_OUT, mode=0o600)
        coins = self.reader.coins.bound(self.internal / FITTED, self.internal / HELD_OUT)
        coins.write(self.internal / COINS)
        return coins

    def _decide(self, evidence: Sequence[Evidence]) -> None:
        blocked = [item for item in evidence if item.verdict == Verdict.FAIL]
        if not blocked:
            return
        for item in evidence:
            name = f"{item.kind}-{item.disclosure}.json"
            item.write(self.internal / name)
        audits = any(item.kind == "audit" for item in blocked)
        what = "the audit blocks" if audits else "the utility evidence does not pass for"
        raise GateError(
            f"{what} this table: there is no bundle.",
            code="DPS303" if audits else "DPS302",
            fix=f"{str(self.internal)!r} says why; another try is another charge.",
        )


def _require_people(model: Synthesizer, rows: int | None, criteria: Criteria, tell: Say) -> None:
    """Refuse, before anything is spent, a declared size that leaves too few units to audit."""
    declared = rows or model.schema.rows
    if declared is None:
        return
    units, design = declared / model.schema.unit.max_rows, criteria.audit.design
    if units * min(design.audited / 2, design.reference) < LEAST:
        raise UsageError(
            f"the declared rows leave fewer than {LEAST} units on a side of the audit.",
            code="DPS413",
            fix="raise audited and reference in [audit], so that more units are held out.",
        )
    if units * (design.audited / 2 + design.reference) < criteria.policy.least_holdout:
        tell(
            "by the declared rows fewer units are held out than an audit needs to be conclusive: "
            "raise audited in [audit] if that matters"
        )


def _require_figures(reservation: Reservation, model: Synthesizer, criteria: Criteria) -> None:
    """Refuse, before anything is spent, a limit on a figure that is not among those bought."""
    has_pairs = "2" in reservation.headline.families(model.schema)
    if criteria.purchase.two_way is not None and not has_pairs:
        raise UsageError(
            "two_way limits pairs of columns, and fewer than two have public cells.",
            code="DPS354",
            fix="leave two_way out, or declare the categories or bounds of more columns.",
        )


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make the confidential folder before anything is spent: of two runs one is refused at once.

    It is made here and nowhere else, so that nobody else owns it; what is left empty is removed.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        refuse_existing(folder)
        raise
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def _silent(stage: str) -> None:
    """Say nothing."""
