"""The statement of a budget: all that may leave a ledger.

Pure values. The class is the whitelist of the exporters: what has no field here appears in no
report. Nothing in it was computed from data, except through the mechanisms that it lists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from dpsynth.certificate._checks import (
    SLACK,
    array,
    choice,
    digest,
    each,
    exact,
    malformed,
    number,
    refused,
    text,
    whole,
)
from dpsynth.certificate.lines import StatementCharge, StatementRelease
from dpsynth.certificate.meaning import Meaning, pair
from dpsynth.privacy import Budget, PrivacyUnit

FORMAT = "dpsynth.statement/1"
N_POLICIES = ("noised", "declared", "replace_one")
SHARES_ADD_UP = (
    "Shares of the capacity add up. Values of ε do not: the ε of several charges together is not "
    "the sum of their values."
)
_DERIVED = ("note", "by_method", "by_release", "not_released")


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What a method or a release takes of the capacity.

    Parameters
    ----------
    name : str
        Name of the method, or identifier of the release.
    share : float
        Sum of the shares of its charges, in [0, 1].
    charges : int
        How many charges those are, without aborted ones.
    """

    name: str
    share: float
    charges: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"name": self.name, "share": self.share, "charges": self.charges}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What was spent on one population, on what, and what remains.

    Parameters
    ----------
    ledger_id, sequence, head : str, int, str
        The anchor: identifier of the ledger, number and SHA-256 of its last entry.
    population : str
        Name of the people whose budget this is.
    datasets : tuple of str
        Names of the datasets that charge it.
    unit : PrivacyUnit
        Who is protected.
    n_policy : {"noised", "declared", "replace_one"}
        Whether the number of units is public.
    budget : Budget
        The most that may ever be spent.
    filter : str
        Measure in which charges are added up, for example ``"rdp"``.
    spent : float
        ε at the budget's δ, certified under adaptive choice; rounded up.
    spent_if_fixed : float or None
        The tighter ε that would hold if all parameters had been fixed in advance.
    remaining : float
        Largest ε of Gaussian noise, on its own, that still fits; rounded down.
    capacity_used : float
        Part of the filter's capacity that is used, in [0, 1]: the sum of the charges' shares.
    curve : tuple of (float, float)
        Certified pairs (ε, δ).
    meaning : Meaning
        What the guarantee means for an attacker.
    charges : tuple of StatementCharge
        All charges in the order of booking.
    releases : tuple of StatementRelease
        All releases in order.
    versions : mapping of str to str
        Software that computed the figures.

    Raises
    ------
    UsageError
        If a field is malformed, or the lines contradict the totals. The message names the field
        only.

    Privacy
    -------
    A statement is made of parameters, names and dates. It is the custodian who decides whether
    names of datasets may be known.
    """

    ledger_id: str
    sequence: int
    head: str
    population: str
    datasets: tuple[str, ...]
    unit: PrivacyUnit
    n_policy: str
    budget: Budget
    filter: str
    spent: float
    spent_if_fixed: float | None
    remaining: float
    capacity_used: float
    curve: tuple[tuple[float, float], ...]
    meaning: Meaning
    charges: tuple[StatementCharge, ...]
    releases: tuple[StatementRelease, ...]
    versions: Mapping[str, str] = field(hash=False)

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name in ("ledger_id", "population", "filter"):
            text(name, getattr(self, name))
        if self.unit.column is not None:
            text("unit.column", self.unit.column)
        choice("n_policy", self.n_policy, N_POLICIES)
        digest("head", self.head)
        put("sequence", whole("sequence", self.sequence))
        put("datasets", each("datasets", self.datasets, text))
        put("spent", number("spent", self.spent))
        if self.spent_if_fixed is not None:
            put("spent_if_fixed", number("spent_if_fixed", self.spent_if_fixed))
        put("remaining", number("remaining", self.remaining))
        put("capacity_used", number("capacity_used", self.capacity_used, 0.0, 1.0))
        put("curve", each("curve", self.curve, pair))
        put("charges", tuple(self.charges))
        put("releases", tuple(self.releases))
        if not isinstance(self.versions, Mapping):
            malformed("versions", "a mapping")
        versions = {text("versions", n): text("versions", v) for n, v in self.versions.items()}
        put("versions", MappingProxyType(dict(sorted(versions.items()))))
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        ids = [charge.id for charge in self.charges]
        if len(set(ids)) != len(ids):
            malformed("charge.id", "used once")
        if not {i for release in self.releases for i in release.charge_ids} <= set(ids):
            malformed("release.charge_ids", "identifiers of charges of this statement")
        if not {charge.dataset for charge in self.charges} <= set(self.datasets):
            malformed("charge.dataset", "one of the datasets of this statement")
        if abs(_total(self.charges) - self.capacity_used) > SLACK:
            malformed("capacity_used", "the sum of the charges' shares")

    @property
    def by_method(self) -> tuple[Portion, ...]:
        """Share of the capacity per method, in the order of first use."""
        methods = dict.fromkeys(charge.method for charge in self.charges if charge.counts)
        return tuple(
            _portion(name, [c for c in self.charges if c.method == name]) for name in methods
        )

    @property
    def by_release(self) -> tuple[Portion, ...]:
        """Share of the capacity per release, by its identifier.

        A charge that several releases rest on is counted for each of them, so that these add up
        to no more than the whole only where releases have no charge in common.
        """
        return tuple(
            _portion(release.id, [c for c in self.charges if c.id in release.charge_ids])
            for release in self.releases
        )

    @property
    def not_released(self) -> Portion:
        """Share of the capacity of charges that no release rests on."""
        used = {i for release in self.releases for i in release.charge_ids}
        return _portion("not released", [c for c in self.charges if c.id not in used])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object of the format ``dpsynth.statement/1``."""
        out: dict[str, Any] = {"format": FORMAT}
        out |= {name: getattr(self, name) for name in self.__slots__}
        unit, budget = self.unit, self.budget
        return out | {
            "datasets": list(self.datasets),
            "unit": {
                "column": unit.column,
                "max_rows": unit.max_rows,
                "relation": str(unit.relation),
            },
            "budget": {"epsilon": budget.epsilon, "delta": budget.delta},
            "curve": [{"epsilon": epsilon, "delta": delta} for epsilon, delta in self.curve],
            "meaning": self.meaning.to_dict(),
            "charges": [charge.to_dict() for charge in self.charges],
            "releases": [release.to_dict() for release in self.releases],
            "versions": dict(self.versions),
            "derived": self._derived(),
        }

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Rebuild from :meth:`to_dict`.

        Raises
        ------
        IntegrityError
            If a field is unknown, missing or malformed, or a derived figure does not follow from
            the lines.
        """
        try:
            found = dict(exact(document, ("format", *cls.__slots__, "derived"), "the document"))
            choice("format", found.pop("format"), (FORMAT,))
            derived = exact(found.pop("derived"), _DERIVED, "derived")
            points = [exact(p, ("epsilon", "delta"), "curve") for p in array(found["curve"], "")]
            unit = exact(found["unit"], ("column", "max_rows", "relation"), "unit")
            changed = {
                "unit": PrivacyUnit(**unit),
                "budget": Budget(**exact(found["budget"], ("epsilon", "delta"), "budget")),
                "curve": tuple((p["epsilon"], p["delta"]) for p in points),
                "meaning": Meaning.from_dict(found["meaning"]),
                "charges": _lines(StatementCharge, found["charges"]),
                "releases": _lines(StatementRelease, found["releases"]),
            }
            statement = cls(**{**found, **changed})
            if statement._derived() != derived:
                malformed("derived", "what follows from the charges")
        except (TypeError, ValueError) as error:
            # A UsageError is a ValueError and says what is wrong; others could quote the file.
            raise refused(FORMAT, error) from None
        return statement

    def _derived(self) -> dict[str, Any]:
        return {
            "note": SHARES_ADD_UP,
            "by_method": [portion.to_dict() for portion in self.by_method],
            "by_release": [portion.to_dict() for portion in self.by_release],
            "not_released": self.not_released.to_dict(),
        }


def _lines(kind: Any, value: object) -> tuple[Any, ...]:  # noqa: ANN401 - one of two classes
    return tuple(kind.from_dict(item) for item in array(value, "the document's lists"))


def _total(charges: Iterable[StatementCharge]) -> float:
    return math.fsum(charge.share for charge in charges)


def _portion(name: str, charges: list[StatementCharge]) -> Portion:
    counted = [charge for charge in charges if charge.counts]
    return Portion(name=name, share=min(1.0, _total(counted)), charges=len(counted))
