"""What a ledger says about itself: public parameters only, nothing that was computed from data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from dpsynth._ledger_log import ChargeState
from dpsynth.filters import FilterKind
from dpsynth.privacy import Budget, PrivacyUnit

_DECIMALS = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The head of a ledger's chain: kept elsewhere, it shows that nothing was cut off since.

    Parameters
    ----------
    ledger_id : str
        Identifier of the ledger.
    sequence : int
        Number of the last entry.
    head : str
        Hash of the last entry.
    """

    ledger_id: str
    sequence: int
    head: str

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Anchor:
        """Rebuild from :meth:`to_dict`; other fields are ignored."""
        return cls(
            ledger_id=str(value["ledger_id"]),
            sequence=int(value["sequence"]),
            head=str(value["head"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """One charge as a summary lists it.

    Parameters
    ----------
    id : str
        Identifier of the charge.
    method : str
        Name of the method.
    dataset : str
        Name of the dataset.
    state : ChargeState
        Where it stands.
    epsilon : float
        ε of this charge alone, at the δ of the population; rounded up.
    reserved : str
        When it was booked, in UTC.
    plan_sha256 : str
        Digest of the plan that was frozen.
    """

    id: str
    method: str
    dataset: str
    state: ChargeState
    epsilon: float
    reserved: str
    plan_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSummary:
    """What was spent on a population and what remains.

    Parameters
    ----------
    anchor : Anchor
        Head of the chain at the time of the summary.
    population : str
        Name of the population.
    unit : PrivacyUnit
        Who is protected.
    n_policy : str
        Whether the number of units is public.
    budget : Budget
        The most that may ever be spent.
    filter : FilterKind
        Measure in which plans are added up.
    datasets : tuple of str
        Names of the datasets that charge this budget.
    spent : float
        ε, at the budget's δ, of all charges that are not aborted; valid however later plans were
        chosen; rounded up.
    spent_if_fixed : float or None
        The tighter ε that would hold if all plans had been fixed before the first of them ran;
        rounded up. ``None`` if it was not computed.
    remaining : float
        Largest ε, at the budget's δ and on its own, of Gaussian noise that would still be
        admitted; rounded down. It does not add up with ``spent``: ε is not additive.
    capacity_used : float
        Share of the filter's limit that is used, in [0, 1].
    charges : tuple of ChargeLine
        All charges in the order of booking.
    """

    anchor: Anchor
    population: str
    unit: PrivacyUnit
    n_policy: str
    budget: Budget
    filter: FilterKind
    datasets: tuple[str, ...]
    spent: float
    spent_if_fixed: float | None
    remaining: float
    capacity_used: float
    charges: tuple[ChargeLine, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document."""
        return {
            "anchor": self.anchor.to_dict(),
            "population": self.population,
            "unit": {
                "column": self.unit.column,
                "max_rows": self.unit.max_rows,
                "relation": str(self.unit.relation),
            },
            "n_policy": self.n_policy,
            "budget": {"epsilon": self.budget.epsilon, "delta": self.budget.delta},
            "filter": str(self.filter),
            "datasets": list(self.datasets),
            "spent": {
                "epsilon": self.spent,
                "delta": self.budget.delta,
                "epsilon_if_parameters_were_fixed_in_advance": self.spent_if_fixed,
            },
            "remaining_epsilon": self.remaining,
            "capacity_used": self.capacity_used,
            "charges": [{**asdict(line), "state": str(line.state)} for line in self.charges],
        }

    def __str__(self) -> str:
        budget = self.budget
        facts = [
            ("population", self.population),
            ("protects", f"{self.unit.describe()} ({self.unit.relation})"),
            ("datasets", ", ".join(self.datasets)),
            ("budget", f"ε = {budget.epsilon:g}, δ = {budget.delta:g}"),
            ("spent", f"ε = {self.spent:g} ({self.capacity_used:.1%} of what the filter admits)"),
        ]
        if self.spent_if_fixed is not None:
            fixed = f"ε = {self.spent_if_fixed:g}, if parameters were fixed in advance"
            facts.append(("", fixed))
        room = f"Gaussian noise of ε up to {self.remaining:g} on its own"
        facts.append(("remaining", room if self.remaining > 0 else "nothing"))
        facts.append(("head", f"{self.anchor.sequence} {self.anchor.head}"))
        lines = [f"{name:<11}{value}" for name, value in facts]
        table = [("when (UTC)", "charge", "method", "dataset", "state", "ε alone")]
        table += [
            (
                line.reserved[:16].replace("T", " "),
                line.id[:8],
                line.method,
                line.dataset,
                str(line.state),
                f"{line.epsilon:g}",
            )
            for line in self.charges
        ]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        for row in table if self.charges else []:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)


def round_up(epsilon: float) -> float:
    """Round what was spent to three decimals, never down."""
    return _rounded(epsilon, ROUND_CEILING)


def round_down(epsilon: float) -> float:
    """Round what remains to three decimals, never up."""
    return _rounded(epsilon, ROUND_FLOOR)


def _rounded(value: float, mode: str) -> float:
    number = Decimal(repr(float(value)))
    return float(number.quantize(_DECIMALS, rounding=mode) if number.is_finite() else number)
