"""Buy headline figures from the ledger: planned, booked and read exactly as a fit is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from benchmarks.disclosure.bought import WIDE, BoughtReport, figures
from benchmarks.evaluate import digest_of
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.evidence import Finding, Severity
from dpsynth.privacy import Budget, Plan

if TYPE_CHECKING:
    import numpy.typing as npt

    from benchmarks.disclosure.headline import Headline, Noisy
    from benchmarks.report import Metric
    from dpsynth.identity import CustodianKey
    from dpsynth.ledger import Charge, Ledger
    from dpsynth.noise import NoiseSource
    from dpsynth.schema import Schema
    from dpsynth.table import Source, TableReader

METHOD = "evaluation"

SHARE, MOST_EPSILON = 0.05, 0.1
"""By default an evaluation may cost this share of the dataset's ε, and never more than that."""


def evaluation_plan(
    schema: Schema,
    budget: Budget,
    *,
    table_sha256: str | None = None,
    headline: Headline | None = None,
) -> Plan:
    """Work out what a purchase would spend, without touching data.

    Parameters
    ----------
    schema : Schema
        Public facts.
    budget : Budget
        The (ε, δ) to calibrate to.
    table_sha256 : str, optional
        Digest of the synthetic table.
    headline : Headline, optional
        Which marginals are compared.

    Raises
    ------
    UsageError
        If no column has public cells (``DPS354``).
    """
    from benchmarks.disclosure.headline import Headline
    from dpsynth.calibration import calibrate

    headline = headline or Headline()
    scale = calibrate(
        lambda sigma: [c.mechanism for c in headline.charges(schema, sigma=sigma)], budget
    )
    return Plan(
        method=METHOD,
        unit=schema.unit,
        budget=budget,
        charges=headline.charges(schema, sigma=scale),
        parameters={**headline.state(), "table_sha256": table_sha256},
        schema_sha256=schema.digest(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A purchase that is booked and not yet made; used as a context manager it is given back.

    Parameters
    ----------
    plan : Plan
        What was booked.
    charge : Charge
        The right to run it.
    headline : Headline
        Which marginals are compared.
    ledger_id, dataset : str
        Where it was booked, and on what.
    """

    plan: Plan
    charge: Charge
    headline: Headline
    ledger_id: str
    dataset: str

    def __enter__(self) -> Self:
        self.charge.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.charge.__exit__(kind, error, traceback)


def reserve_evaluation(
    ledger: Ledger,
    dataset: str,
    schema: Schema,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    headline: Headline | None = None,
    table_sha256: str | None = None,
) -> Reservation:
    """Book a purchase before the table is there that it is about, so that a fit leaves room for it.

    Parameters are those of :func:`evaluate_dp`.

    Raises
    ------
    BudgetError
        If the ledger refuses.
    """
    from benchmarks.disclosure.headline import Headline

    headline = headline or Headline()
    budget = _budget(ledger, epsilon, delta)
    plan = evaluation_plan(schema, budget, table_sha256=table_sha256, headline=headline)
    return Reservation(
        plan=plan,
        charge=ledger.reserve(plan, dataset=dataset),
        headline=headline,
        ledger_id=ledger.anchor.ledger_id,
        dataset=dataset,
    )


def evaluate_dp(
    synthetic: Source,
    data: Source | TableReader,
    schema: Schema,
    *,
    ledger: Ledger,
    dataset: str,
    epsilon: float | None = None,
    delta: float | None = None,
    key: CustodianKey | None = None,
    noise: NoiseSource | None = None,
    headline: Headline | None = None,
    table_sha256: str | None = None,
    reservation: Reservation | None = None,
) -> BoughtReport:
    """Buy noisy figures about a synthetic table; they may be published with it.

    Parameters
    ----------
    synthetic : path, DataFrame or Arrow table
        The table to be released. It is read first and stays as it is.
    data : path, DataFrame, Arrow table or TableReader
        The sensitive rows to compare with: those that a model was fitted to. Opened only after the
        ledger has granted the charge.
    schema : Schema
        Public facts.
    ledger : Ledger
        The book in which the spend is entered first.
    dataset : str
        Name of the dataset in the ledger.
    epsilon, delta : float, optional
        What to spend: by default 5 % of the ledger's ε and at most 0.1, at the ledger's δ.
    key : CustodianKey, optional
        Recognises the table as the one that was entered.
    noise : NoiseSource, optional
        Operating system entropy by default. What a seeded source gives is not releasable.
    headline : Headline, optional
        Which marginals are compared.
    table_sha256 : str, optional
        Digest of the file that will be released; by default that of ``synthetic`` where it is a
        path.
    reservation : Reservation, optional
        What was booked before, by :func:`reserve_evaluation`; then ``epsilon``, ``delta`` and
        ``headline`` are its own.

    Returns
    -------
    BoughtReport
        Mean and largest distance of single columns, mean distance of pairs, and the mean L1 error
        of all pairs and of all triples with the target.

    Raises
    ------
    BudgetError
        If the ledger refuses; the sensitive table has not been opened.
    DataError
        If the form of a table does not fit the schema; nothing has been spent.
    IntegrityError
        If the table is not the one that was entered; nothing has been spent.
    UsageError
        If the ledger does not know the dataset, a key is missing, nothing can be compared, or what
        was booked before is for another dataset or schema (``DPS113``).

    Privacy
    -------
    (ε, δ)-differentially private for the unit and the neighbouring relation of the schema, in
    addition to everything else that the ledger holds about the dataset: a second purchase is a
    second charge. Mechanism and proof: :mod:`benchmarks.disclosure.headline`. The figures are about
    the rows that were fitted, not about rows that were held out: a table that repeats its rows
    looks good by them.
    """
    from dpsynth.files import column_types, read_columns
    from dpsynth.noise import NoiseSource
    from dpsynth.synthesizer import stated_privacy
    from dpsynth.table import TableReader, conform, violations

    if reservation is not None and (epsilon, delta, headline) != (None, None, None):
        raise UsageError("what was booked before has its own epsilon, delta and headline.")
    noise = noise or NoiseSource.from_entropy()
    digest = table_sha256 or digest_of(synthetic)
    bare = replace(schema, columns=schema.modelled)
    frame = read_columns(synthetic, list(column_types(synthetic)))
    released, violated = conform(frame, bare), violations(frame, bare)
    reader = TableReader.of(data, schema)
    booked = reservation or reserve_evaluation(
        ledger, dataset, schema, epsilon=epsilon, delta=delta, headline=headline,
        table_sha256=digest,
    )  # fmt: skip
    plan, headline = booked.plan, booked.headline
    if plan.schema_sha256 != schema.digest():
        raise UsageError("the purchase was booked for another schema.", code="DPS113")
    if (booked.ledger_id, booked.dataset) != (ledger.anchor.ledger_id, dataset):
        # Else rows would be read on which nothing was booked.
        raise UsageError("the purchase was booked for another dataset.", code="DPS113")
    with booked.charge as charge:
        noisy = _buy(
            reader, released, plan, headline, ledger=ledger, charge=charge, dataset=dataset,
            key=key, noise=noise,
        )  # fmt: skip
        paid = stated_privacy(plan, schema, charge=charge, ledger=ledger, noise=noise)
    families = {way: len(found) for way, found in headline.families(schema).items()}
    floors = headline.floors(released, schema, rows=noisy.rows)
    metrics = figures(noisy, families=families, floors=floors)
    compared = [column.name for column in headline.columns(schema)]
    left_out = [c.name for c in schema.modelled if c.name not in compared]
    return BoughtReport(
        schema_name=schema.name,
        schema_sha256=schema.digest(),
        table_sha256=digest,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics=metrics,
        findings=_findings(metrics, violated=violated, left_out=left_out),
        compared={
            "with": "the rows of the dataset that were read, bounded per unit as in a fit",
            "columns": compared,
            "left_out": left_out,
            "marginals": families,
            **headline.state(),
        },
        paid={
            **paid,
            # Without the head: what was entered since the fit may be a verdict on real rows.
            "ledger": {name: paid["ledger"][name] for name in ("ledger_id", "charge")},
            "dataset": dataset,
            "charges": plan.spec()["charges"],
        },
    )


def _buy(
    reader: TableReader,
    released: Mapping[str, npt.NDArray],
    plan: Plan,
    headline: Headline,
    *,
    ledger: Ledger,
    charge: Charge,
    dataset: str,
    key: CustodianKey | None,
    noise: NoiseSource,
) -> Noisy:
    """Read under a touched charge, release, and commit what ran as planned."""
    from dpsynth.identity import content_hmac

    reader.preflight()
    ledger.recognise(dataset, None if key is None else content_hmac(reader.source, key))
    charge.touch()
    table = reader.read(charge, rng=noise.generator)
    noisy, ran = headline.release(table, released, charges=plan.charges, noise=noise)
    if ran != plan.charges:
        raise IntegrityError(
            "the mechanisms that ran are not those that were booked.", code="DPS110"
        )
    charge.commit()
    return noisy


def _budget(ledger: Ledger, epsilon: float | None, delta: float | None) -> Budget:
    whole = ledger.budget
    return Budget(
        epsilon=min(SHARE * whole.epsilon, MOST_EPSILON) if epsilon is None else epsilon,
        delta=whole.delta if delta is None else delta,
    )


def _findings(
    metrics: tuple[Metric, ...], *, violated: list[str], left_out: list[str]
) -> tuple[Finding, ...]:
    found = []
    if violated:
        names = ", ".join(violated)
        found.append(
            Finding(
                "DPS310",
                Severity.ERROR,
                f"the synthetic table does not fit the schema in {names}.",
            )
        )
    if left_out:
        names = ", ".join(left_out)
        found.append(
            Finding(
                "DPS350",
                Severity.INFO,
                f"left out, since bounds or categories are not declared: {names}.",
            )
        )
    distances = [m for m in metrics if m.name.startswith("tvd")]
    if any((m.ci_high or 0.0) - (m.ci_low or 0.0) > 2 * WIDE for m in distances):
        found.append(
            Finding(
                "DPS351",
                Severity.INFO,
                "the noise is so large, for so few rows, that the figures say little; a larger "
                "epsilon would say more.",
            )
        )
    return tuple(found)
