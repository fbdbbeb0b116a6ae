"""What a ledger says about itself: public parameters only, nothing that was computed from data."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dpsynth.filters import FilterKind, StopRule
from dpsynth.ledger.admission import room
from dpsynth.ledger.anchors import Anchor
from dpsynth.ledger.entries import ChargeState
from dpsynth.ledger.pricing import composed_epsilon, measures_from_json
from dpsynth.pages.fragments import Rows, fragment
from dpsynth.privacy import Budget, PrivacyUnit
from dpsynth.rounding import round_down, round_up


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
        ε of the whole plan alone, at the δ of the population; rounded up.
    share : float
        Share of the filter's limit that the charge takes, in [0, 1].
    reserved : str
        When it was booked, in UTC.
    plan_sha256 : str
        Digest of the plan that was frozen.
    steps_run : dict of str to int, or None
        How often the long steps of a run that was stopped have run at most.
    """

    id: str
    method: str
    dataset: str
    state: ChargeState
    epsilon: float
    share: float
    reserved: str
    plan_sha256: str
    steps_run: Mapping[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLine:
    """One release as a summary lists it.

    Parameters
    ----------
    id : str
        Identifier of the release.
    name : str
        Its name.
    table_sha256 : str
        Digest of the synthetic table.
    charges : tuple of str
        Identifiers of the charges that paid for it.
    recorded : str
        When it was entered, in UTC.
    """

    id: str
    name: str
    table_sha256: str
    charges: tuple[str, ...]
    recorded: str


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
    releases : tuple of ReleaseLine
        Tables that were released.
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
    releases: tuple[ReleaseLine, ...]

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
            "releases": [{**asdict(line), "charges": list(line.charges)} for line in self.releases],
        }

    def _facts(self) -> list[tuple[str, str]]:
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
            facts.append(("or", fixed))
        room = f"Gaussian noise of ε up to {self.remaining:g} on its own"
        facts.append(("remaining", room if self.remaining > 0 else "nothing"))
        facts.append(("head", f"{self.anchor.sequence} {self.anchor.head}"))
        return facts

    def __str__(self) -> str:
        lines = [f"{name:<11}{value}" for name, value in self._facts()]
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
        lines += [
            f"released   {line.recorded[:10]} {line.name}: table {line.table_sha256[:16]}…, charge "
            + ", ".join(charge[:8] for charge in line.charges)
            for line in self.releases
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str | None:
        charges = Rows(
            caption="Charges, newest first",
            head=("Charge", "When (UTC)", "Method", "Dataset", "State", "ε alone", "Of the limit"),
            rows=tuple(
                (
                    line.id[:8],
                    line.reserved[:16].replace("T", " "),
                    line.method,
                    line.dataset,
                    str(line.state),
                    f"{line.epsilon:g}",
                    f"{line.share:.1%}",
                )
                for line in reversed(self.charges)
            ),
        )
        releases = Rows(
            caption="Releases, newest first",
            head=("Release", "When (UTC)", "Table", "Charges"),
            rows=tuple(
                (
                    line.name,
                    line.recorded[:16].replace("T", " "),
                    f"{line.table_sha256[:16]}…",
                    ", ".join(charge[:8] for charge in line.charges),
                )
                for line in reversed(self.releases)
            ),
        )
        return fragment(
            f"Ledger of {self.population}",
            facts=[(name.capitalize(), text) for name, text in self._facts()],
            tables=[charges, releases],
            remarks=["ε is not additive: those of single charges do not add up to what is spent."],
        )


def summarise(
    *,
    anchor: Anchor,
    population: Mapping[str, Any],
    unit: PrivacyUnit,
    rule: StopRule,
    datasets: Sequence[str],
    charges: Sequence[Mapping[str, Any]],
    releases: Sequence[Mapping[str, Any]],
    compose: bool,
) -> LedgerSummary:
    """Work out what was spent and what remains from the rows of the tables."""
    live = [row for row in charges if row["state"] != ChargeState.ABORTED]
    costs = [rule.cost(measures_from_json(row["measures"])) for row in live]
    spent = rule.certified_epsilon(costs)
    fixed = None
    if len(live) == 1:
        fixed = live[0]["epsilon"]
        # Its own certificate is that of everything only if nothing can follow: whoever stops where
        # the first loss came out high, and else goes on, spends more (docs/filters.md, section 3).
        if live[0]["rule"] == "plan":
            spent = min(spent, fixed)
    elif compose and live:
        plans = Counter(row["spec"] for row in live)
        fixed = composed_epsilon(plans, delta=rule.budget.delta)
    used = min(1.0, rule.used(costs))
    shares = _shares({row["charge_id"]: row["cost"] for row in live}, used)
    return LedgerSummary(
        anchor=anchor,
        population=population["name"],
        unit=unit,
        n_policy=population["n_policy"],
        budget=rule.budget,
        filter=rule.kind,
        datasets=tuple(datasets),
        spent=round_up(spent),
        spent_if_fixed=None if fixed is None else round_up(min(fixed, spent)),
        remaining=round_down(room(rule, costs)),
        capacity_used=used,
        charges=tuple(
            ChargeLine(
                id=row["charge_id"],
                method=row["method"],
                dataset=row["dataset"],
                state=ChargeState(row["state"]),
                epsilon=round_up(row["epsilon"]),
                share=shares.get(row["charge_id"], 0.0),
                reserved=row["reserved"],
                plan_sha256=row["plan_sha256"],
                steps_run=json.loads(row["leased"])
                if row["state"] == ChargeState.STOPPED
                else None,
            )
            for row in charges
        ),
        releases=tuple(
            ReleaseLine(
                id=row["release_id"],
                name=row["name"],
                table_sha256=row["table_sha256"],
                charges=tuple(json.loads(row["charges"])),
                recorded=row["created"],
            )
            for row in releases
        ),
    )


def _shares(costs: Mapping[str, float], used: float) -> dict[str, float]:
    """Share out what is used among the charges in proportion to their costs."""
    total = math.fsum(costs.values())
    if math.isinf(total):
        # Admitted as the only plan: nothing stands beside it.
        return {key: used if math.isinf(cost) else 0.0 for key, cost in costs.items()}
    return {key: used * cost / total if total else 0.0 for key, cost in costs.items()}
