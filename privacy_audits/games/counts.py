"""One-way counts: a row that lies in cells of its own, in every column."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.codec import Codec, CodecSettings
from dpsynth.errors import UsageError
from dpsynth.marginals.independent import Independent
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, DiscreteGaussian, Mechanism, NeighbouringRelation, Plan
from dpsynth.schema import Schema
from dpsynth.table import Table, load
from dpsynth.transcript import Transcript
from privacy_audits.games.game import recorded

FloatArray = npt.NDArray[np.float64]

_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountsGame:
    """Noisy counts on one of two tables, where what is counted does not depend on the noise.

    Parameters
    ----------
    name : str
        Name of the game.
    outside, inside : Table
        Neighbouring tables. Made up: the game learns which one it was.
    plan : Plan
        What is booked: one-way counts and nothing else.
    fit : callable
        Data path under test, with the arguments of :meth:`dpsynth.codec.Codec.fit`.

    Notes
    -----
    With exact counts q₀ and q₁ of the two tables and noisy ones y, the log-likelihood ratio of the
    discrete Gaussian is Σ((y − q₀)² − (y − q₁)²)/2σ². It is linear in y, so that scores are as
    normal as the noise, and d′ is the l2 distance of q₀ and q₁ over σ. The score takes q₀ and q₁
    from the code; what a correct implementation shows follows from the plan alone.
    """

    name: str
    outside: Table
    inside: Table
    plan: Plan
    fit: Callable[..., Any] = Codec.fit
    _queries: tuple[FloatArray, FloatArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        queries = []
        for is_inside in (False, True):
            noise = NoiseSource.audited(Transcript(), seed=0)
            self._fit(noise, inside=is_inside)
            queries.append(_flat([release.query for release in recorded(noise)]))
        object.__setattr__(self, "_queries", tuple(queries))

    @property
    def claim(self) -> tuple[Mechanism, ...]:
        """The mechanisms of the plan."""
        return self.plan.mechanisms

    @property
    def mu(self) -> float:
        """μ of the plan."""
        return self._event.sensitivity * math.sqrt(self._event.count) / self._event.sigma

    def run(self, noise: NoiseSource, *, inside: bool) -> FloatArray:
        """Fit once; return the score, shape (1,)."""
        self._fit(noise, inside=inside)
        released = _flat([release.released for release in recorded(noise)])
        if released.shape != self._queries[0].shape:
            raise UsageError("in this game what is counted must not depend on the noise.")
        return self._scores(released[None, :], *self._queries)

    def simulate(self, runs: int, rng: np.random.Generator, *, inside: bool) -> FloatArray:
        """Return scores of cells that are 0, and moved as the plan says, shape (runs,)."""
        event = self._event
        reach = int(np.ceil(12 * event.sigma))
        support = np.arange(-reach, reach + 1)
        law = np.exp(-0.5 * (support / event.sigma) ** 2)
        noise = rng.choice(support, p=law / law.sum(), size=(runs, event.count))
        without, with_it = np.zeros(event.count), np.full(event.count, float(event.sensitivity))
        return self._scores((with_it if inside else without) + noise, without, with_it)

    def _scores(self, released: FloatArray, without: FloatArray, with_it: FloatArray) -> FloatArray:
        squares = (released - without) ** 2 - (released - with_it) ** 2
        return squares.sum(axis=1) / (2 * self._event.sigma**2)

    @property
    def _event(self) -> DiscreteGaussian:
        (event,) = self.plan.mechanisms
        assert isinstance(event, DiscreteGaussian)
        return event

    def _fit(self, noise: NoiseSource, *, inside: bool) -> None:
        table = self.inside if inside else self.outside
        settings = CodecSettings(**self.plan.parameters["codec"])
        self.fit(table, plan=self.plan, settings=settings, noise=noise)


def one_way_game(
    budget: Budget,
    *,
    columns: int = 3,
    relation: NeighbouringRelation = NeighbouringRelation.ADD_REMOVE,
    fit: Callable[..., Any] = Codec.fit,
) -> CountsGame:
    """Return the worst pair for one-way counts, with the plan of ``Independent``.

    Parameters
    ----------
    budget : Budget
        What a run may spend.
    columns : int
        Binary columns; many of them make a wide table.
    relation : NeighbouringRelation
        Outside there are ten rows of zeros. Inside a row of ones is added to them, or replaces one.
    fit : callable
        Data path under test.
    """
    relation = NeighbouringRelation(relation)
    names = [f"c{number}" for number in range(columns)]
    declared = {"kind": "categorical", "categories": ["0", "1"], "source": "game"}
    schema = Schema.from_dict(
        {
            "table": {"name": "game", "rows": "private", "unit": {"relation": str(relation)}},
            "columns": dict.fromkeys(names, declared),
        }
    )
    kept = _ROWS - (relation == NeighbouringRelation.REPLACE_ONE)
    cells = {False: ["0"] * _ROWS, True: ["0"] * kept + ["1"]}
    tables = {
        # One row is one unit: nothing is drawn.
        is_inside: load(
            pd.DataFrame(dict.fromkeys(names, values)), schema, rng=np.random.default_rng(0)
        )
        for is_inside, values in cells.items()
    }
    return CountsGame(
        name=f"one-way counts of {columns} columns, {relation}",
        outside=tables[False],
        inside=tables[True],
        plan=Independent(schema).plan(budget),
        fit=fit,
    )


def _flat(parts: list[npt.NDArray[Any]]) -> FloatArray:
    return np.concatenate([np.zeros(0), *(part.ravel() for part in parts)]).astype(np.float64)
