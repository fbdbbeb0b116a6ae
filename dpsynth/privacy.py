"""Privacy vocabulary: unit, neighbouring relation, budget, mechanisms and plans.

Pure values. Nothing here computes an ε (see :mod:`dpsynth.accountant`), draws noise or reads data.
Every mechanism states the neighbouring relation for which its sensitivity was worked out; the file
that adds the noise is the one that constructs it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar

from dpsynth.errors import UsageError

MIN_DELTA = 1e-10
"""Smallest δ that is accepted: further down the numerical error of a loss distribution, which the
accountant takes off δ, would be most of it (``docs/accounting.md``)."""


class NeighbouringRelation(StrEnum):
    """Which pairs of tables the guarantee must make indistinguishable."""

    ADD_REMOVE = "add_remove"
    """One table is the other plus all rows (at most ``max_rows``) of one privacy unit."""
    REPLACE_ONE = "replace_one"
    """All rows of one privacy unit are exchanged for those of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyUnit:
    """Who is protected.

    Parameters
    ----------
    column : str or None
        Column that names the unit; ``None`` when one row is one unit.
    max_rows : int
        Most rows that one unit contributes; further rows are dropped at random when the table
        is loaded.
    relation : NeighbouringRelation
        Neighbouring relation of the guarantee.
    """

    column: str | None = None
    max_rows: int = 1
    relation: NeighbouringRelation = NeighbouringRelation.ADD_REMOVE

    def __post_init__(self) -> None:
        if isinstance(self.max_rows, bool) or int(self.max_rows) != self.max_rows:
            raise UsageError("unit.max_rows must be a whole number.", fix="give a number ≥ 1.")
        if self.max_rows < 1:
            raise UsageError("unit.max_rows must be at least 1.", fix="give a number ≥ 1.")
        if self.column is None and self.max_rows != 1:
            raise UsageError(
                "unit.max_rows above 1 needs a column that names the unit.", fix="give unit.id."
            )
        object.__setattr__(self, "relation", NeighbouringRelation(self.relation))

    def describe(self) -> str:
        """Name the unit in one phrase."""
        if self.column is None:
            return "one row"
        return f"all rows of one {self.column!r} (at most {self.max_rows})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An (ε, δ) pair: the most that may be spent.

    Parameters
    ----------
    epsilon : float
        ε in nats, above 0.
    delta : float
        δ in [1e-10, 1).
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        epsilon, delta = float(self.epsilon), float(self.delta)
        if not (math.isfinite(epsilon) and epsilon > 0):
            raise UsageError(f"epsilon must be a positive number, got {epsilon}.")
        if not MIN_DELTA <= delta < 1:
            raise UsageError(f"delta must lie in [{MIN_DELTA}, 1), got {delta}.")
        object.__setattr__(self, "epsilon", epsilon)
        object.__setattr__(self, "delta", delta)


def canonical_json(value: object) -> str:
    """Serialise to canonical JSON: sorted keys, no spaces, reals as strings.

    Reals are written with :func:`repr` inside a string, so that a digest never depends on how a
    library formats numbers.
    """

    def plain(item: object) -> object:
        if isinstance(item, bool) or item is None or isinstance(item, str | int):
            return item
        if isinstance(item, float):
            # float() first: a NumPy scalar's own repr names its type.
            return repr(float(item))
        if isinstance(item, Mapping):
            return {str(key): plain(entry) for key, entry in item.items()}
        if isinstance(item, Iterable):
            return [plain(entry) for entry in item]
        raise TypeError(f"cannot serialise a {type(item).__name__}")

    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def canonical_sha256(value: object) -> str:
    """Return the digest of :func:`canonical_json`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """One differentially private mechanism, described by public numbers only.

    Parameters
    ----------
    relation : NeighbouringRelation
        The relation for which the sensitivity in the other fields was worked out. The accountant
        refuses to compose mechanisms of different relations.
    """

    kind: ClassVar[str] = ""
    _positive: ClassVar[tuple[str, ...]] = ()
    _counts: ClassVar[tuple[str, ...]] = ()

    relation: NeighbouringRelation

    def __post_init__(self) -> None:
        object.__setattr__(self, "relation", NeighbouringRelation(self.relation))
        for name in self._positive:
            # Coerced to float: dp-accounting takes an int multiplier for something else
            # (docs/accounting.md, under-counting case b).
            value = float(getattr(self, name))
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{self.kind}: {name} must be a positive number, got {value}.")
            object.__setattr__(self, name, value)
        for name in self._counts:
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise UsageError(f"{self.kind}: {name} must be a whole number ≥ 1, got {value}.")
            object.__setattr__(self, name, int(value))

    def spec(self) -> dict[str, Any]:
        """Return the JSON description that ledgers and manifests store."""
        return {
            "kind": self.kind,
            **{f.name: _plain(getattr(self, f.name)) for f in fields(self)},
        }


def _plain(value: object) -> object:
    if isinstance(value, Mechanism):
        return value.spec()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, NeighbouringRelation) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian(Mechanism):
    """Gaussian noise on a query, ``count`` times.

    ``noise_multiplier`` is the standard deviation over the l2 sensitivity under ``relation``.
    """

    kind: ClassVar[str] = "gaussian"
    _positive: ClassVar[tuple[str, ...]] = ("noise_multiplier",)
    _counts: ClassVar[tuple[str, ...]] = ("count",)

    noise_multiplier: float
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteGaussian(Mechanism):
    """Discrete Gaussian noise on integer counts.

    ``count`` histograms are measured. A neighbour changes the cells of each by whole numbers whose
    absolute values add up to at most ``sensitivity``, so that the l2 change is at most
    ``sensitivity * sqrt(count)``; with ``sensitivity = 1`` it is one cell by one. The noise has
    parameter ``sigma`` on every cell, independently.
    """

    kind: ClassVar[str] = "discrete_gaussian"
    _positive: ClassVar[tuple[str, ...]] = ("sigma",)
    _counts: ClassVar[tuple[str, ...]] = ("sensitivity", "count")

    sigma: float
    sensitivity: int = 1
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSelection(Mechanism):
    """Discovery of categories: noisy counts of the levels present, kept above a threshold.

    The noisy counts are a :class:`DiscreteGaussian` with the same fields; a level that only one
    unit carries passes the threshold with probability at most ``failure_delta``, which the
    accountant adds to δ.
    """

    kind: ClassVar[str] = "partition_selection"
    _positive: ClassVar[tuple[str, ...]] = ("sigma", "failure_delta")
    _counts: ClassVar[tuple[str, ...]] = ("sensitivity", "count")

    sigma: float
    failure_delta: float
    sensitivity: int = 1
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Laplace(Mechanism):
    """Laplace noise, ``count`` times; ``noise_multiplier`` is scale over l1 sensitivity."""

    kind: ClassVar[str] = "laplace"
    _positive: ClassVar[tuple[str, ...]] = ("noise_multiplier",)
    _counts: ClassVar[tuple[str, ...]] = ("count",)

    noise_multiplier: float
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Mechanism):
    """Exponential mechanism, ``count`` times, each ``epsilon``-bounded-range.

    ``epsilon`` is the range of the log-probability ratio between neighbours under ``relation``.
    """

    kind: ClassVar[str] = "exponential"
    _positive: ClassVar[tuple[str, ...]] = ("epsilon",)
    _counts: ClassVar[tuple[str, ...]] = ("count",)

    epsilon: float
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonSampledGaussian(Mechanism):
    """DP-SGD: ``steps`` Gaussian sums over Poisson samples of the privacy units.

    ``noise_multiplier`` is the standard deviation over the norm bound of **one unit's**
    contribution; the effect of ``relation`` on the sampled mechanism is worked out by the
    accountant.
    """

    kind: ClassVar[str] = "poisson_sampled_gaussian"
    _positive: ClassVar[tuple[str, ...]] = ("noise_multiplier", "sampling_probability")
    _counts: ClassVar[tuple[str, ...]] = ("steps",)

    noise_multiplier: float
    sampling_probability: float
    steps: int

    def __post_init__(self) -> None:
        Mechanism.__post_init__(self)
        if self.sampling_probability > 1:
            raise UsageError("sampling_probability must be at most 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PATEVote(Mechanism):
    """``votes`` released noisy vote counts of a teacher ensemble (GNMax), data-independent.

    ``noise_multiplier`` is the standard deviation over the l2 change that one unit causes in
    the votes of one query: 1 for a count of one class, √2 for a histogram of classes, 1 for the
    margin of a vote in which the undecided abstain (:mod:`dpsynth.neural.voting`).
    """

    kind: ClassVar[str] = "pate_vote"
    _positive: ClassVar[tuple[str, ...]] = ("noise_multiplier",)
    _counts: ClassVar[tuple[str, ...]] = ("votes",)

    noise_multiplier: float
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ZCDP(Mechanism):
    """Anything known only to be ρ-zCDP, for example an adaptively annealed marginal method."""

    kind: ClassVar[str] = "zcdp"
    _positive: ClassVar[tuple[str, ...]] = ("rho",)

    rho: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSelection(Mechanism):
    """The best of a random number of trials, ``count`` times; nothing else of them is shown.

    A trial draws one candidate uniformly, runs all of its mechanisms and shows the candidate's
    number, its result and a score. The number of trials follows the truncated negative binomial
    law with these two parameters (:mod:`dpsynth.trials`); a number that was fixed in advance does
    not qualify.

    Parameters
    ----------
    candidates : tuple of tuple of Mechanism
        All that one trial of each candidate runs, the query behind the score included.
    mean_trials : float
        Expected number of trials, above 1.
    shape : float
        Above -1: 0 is the logarithmic law, 1 the geometric one. A smaller shape costs less and
        varies more.
    count : int
        Number of selections.
    """

    kind: ClassVar[str] = "private_selection"
    _positive: ClassVar[tuple[str, ...]] = ("mean_trials",)
    _counts: ClassVar[tuple[str, ...]] = ("count",)

    candidates: tuple[tuple[Mechanism, ...], ...]
    mean_trials: float
    shape: float = 0.0
    count: int = 1

    def __post_init__(self) -> None:
        Mechanism.__post_init__(self)
        candidates = tuple(tuple(candidate) for candidate in self.candidates)
        object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "shape", float(self.shape))
        if self.mean_trials <= 1:
            raise UsageError(f"{self.kind}: mean_trials must be above 1, got {self.mean_trials}.")
        if not (math.isfinite(self.shape) and self.shape > -1):
            raise UsageError(f"{self.kind}: shape must be a number above -1, got {self.shape}.")
        if not candidates or not all(candidates):
            raise UsageError(f"{self.kind}: there must be a candidate, and each runs a mechanism.")
        if any(m.relation != self.relation for candidate in candidates for m in candidate):
            raise UsageError(f"{self.kind}: every candidate must state the selection's relation.")


_KINDS: dict[str, type[Mechanism]] = {
    cls.kind: cls
    for cls in (
        Gaussian,
        DiscreteGaussian,
        PartitionSelection,
        Laplace,
        Exponential,
        PoissonSampledGaussian,
        PATEVote,
        ZCDP,
        PrivateSelection,
    )
}


def mechanism_from_spec(spec: Mapping[str, Any]) -> Mechanism:
    """Rebuild a mechanism from :meth:`Mechanism.spec`."""
    cls = _KINDS.get(str(spec.get("kind")))
    if cls is None:
        raise UsageError("this mechanism kind is not known to this version of dpsynth.")
    fields_of = {name: value for name, value in spec.items() if name != "kind"}
    try:
        if cls is PrivateSelection:
            fields_of["candidates"] = tuple(
                tuple(mechanism_from_spec(part) for part in candidate)
                for candidate in fields_of["candidates"]
            )
        return cls(**fields_of)
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"the description of a {cls.kind} mechanism is malformed.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCharge:
    """One line of a plan: a step that touches data and the mechanism it runs.

    The very object that is calibrated here is handed to the code that runs it and is written
    into the ledger.
    """

    step: str
    mechanism: Mechanism


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a fit will spend, fixed before the data is touched.

    Parameters
    ----------
    method : str
        Name of the method, for example ``"dp-vae"``.
    unit : PrivacyUnit
        Who is protected, and the neighbouring relation.
    budget : Budget
        The (ε, δ) that the plan was calibrated to.
    charges : tuple of PlannedCharge
        The mechanisms in the order in which they run.
    parameters : mapping
        Public hyper-parameters; JSON values only.
    schema_sha256 : str
        Digest of the schema the plan was made for.
    """

    method: str
    unit: PrivacyUnit
    budget: Budget
    charges: tuple[PlannedCharge, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schema_sha256: str = ""

    def __post_init__(self) -> None:
        if any(charge.mechanism.relation != self.unit.relation for charge in self.charges):
            raise UsageError("every mechanism of a plan must state the plan's own relation.")
        if len({charge.step for charge in self.charges}) < len(self.charges):
            # Leases count the runs of a step by its name.
            raise UsageError("every step of a plan needs a name of its own.")

    @property
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """The mechanisms in order."""
        return tuple(charge.mechanism for charge in self.charges)

    def mechanism(self, step: str) -> Mechanism:
        """Return the mechanism of one step."""
        for charge in self.charges:
            if charge.step == step:
                return charge.mechanism
        raise UsageError(f"the plan has no step {step!r}.")

    def spec(self) -> dict[str, Any]:
        """Return the JSON description that is frozen in the ledger."""
        return {
            "method": self.method,
            "unit": {
                "column": self.unit.column,
                "max_rows": self.unit.max_rows,
                "relation": str(self.unit.relation),
            },
            "budget": {"epsilon": self.budget.epsilon, "delta": self.budget.delta},
            "charges": [{"step": c.step, "mechanism": c.mechanism.spec()} for c in self.charges],
            "parameters": dict(self.parameters),
            "schema_sha256": self.schema_sha256,
        }

    def digest(self) -> str:
        """SHA-256 of the canonical description."""
        return canonical_sha256(self.spec())

    def _repr_html_(self) -> str | None:
        from dpsynth.plan_fragment import plan_fragment

        return plan_fragment(self)
