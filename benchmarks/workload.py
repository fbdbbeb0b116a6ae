"""The error of a workload: marginals that somebody will tabulate, weighed by how much they matter.

The yard-stick that marginal mechanisms are tuned for: the mean l1 distance of the workload's
marginals, which is twice the total variation.

References
----------
McKenna et al. 2022, "AIM: An adaptive and iterative mechanism for differentially private synthetic
data".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.counting import Counter, references, subsets
from benchmarks.discretise import Tables
from benchmarks.marginals import (
    MOST_PAIRS,
    MOST_TRIPLES,
    pooled_floor,
    target_triples,
    total_variation,
)
from benchmarks.replicates import Replicated, mean
from benchmarks.report import Section, Worst
from dpsynth.errors import UsageError

FloatArray = npt.NDArray[np.float64]

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Marginals that matter.

    Parameters
    ----------
    marginals : tuple of tuple of str
        Names of columns.
    weights : tuple of float
        One for each marginal; empty for 1 each.

    Raises
    ------
    UsageError
        If there is no marginal, one is empty or names a column twice, or weights do not fit.
    """

    marginals: tuple[tuple[str, ...], ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.marginals:
            raise UsageError("a workload needs at least one marginal.")
        for names in self.marginals:
            if not names or len(set(names)) < len(names):
                raise UsageError(
                    "a marginal of a workload is empty or names a column twice.",
                    fix="list different columns in each marginal.",
                )
        if self.weights and len(self.weights) != len(self.marginals):
            raise UsageError(
                "a workload has not as many weights as marginals.",
                fix="give one weight for each marginal, or none.",
            )
        if self.weights and not (
            all(math.isfinite(w) and w >= 0 for w in self.weights) and any(self.weights)
        ):
            raise UsageError("weights of a workload must be finite, from 0, and not all 0.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Workload:
        """Return the workload of a table of a configuration file.

        Parameters
        ----------
        values : mapping
            ``marginals``, a list of lists of column names, and ``weights``, a list of numbers.

        Raises
        ------
        UsageError
            If keys or values are of another kind.
        """
        unknown = sorted(set(values) - {"marginals", "weights"})
        if unknown:
            raise UsageError(
                f"a workload has no {', '.join(map(repr, unknown))}.",
                fix="use the keys marginals and weights.",
            )
        marginals, weights = values.get("marginals", []), values.get("weights", [])
        if not (
            isinstance(marginals, list | tuple)
            and all(isinstance(names, list | tuple) for names in marginals)
            and all(isinstance(name, str) for names in marginals for name in names)
        ):
            raise UsageError("marginals of a workload must be a list of lists of column names.")
        if not isinstance(weights, list | tuple) or not all(
            isinstance(w, int | float) and not isinstance(w, bool) for w in weights
        ):
            raise UsageError("weights of a workload must be a list of numbers.")
        return cls(
            marginals=tuple(tuple(names) for names in marginals),
            weights=tuple(float(w) for w in weights),
        )

    def places(self, tables: Tables) -> list[tuple[int, ...]]:
        """Return each marginal as places of columns.

        Raises
        ------
        UsageError
            If a column is not modelled.
        """
        known = {column.name: place for place, column in enumerate(tables.columns)}
        unknown = sorted({name for names in self.marginals for name in names} - set(known))
        if unknown:
            raise UsageError(
                f"the workload names columns that are not there: {', '.join(unknown)}.",
                fix=f"columns are: {', '.join(known)}.",
            )
        return [tuple(sorted(known[name] for name in names)) for names in self.marginals]


def measure(
    tables: Tables, *, rng: np.random.Generator, workload: Workload | None = None
) -> Section:
    """Measure the error of a workload.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws marginals where there are too many, and held-out rows.
    workload : Workload, optional
        Marginals that matter. By default all pairs, up to 500, and all triples with the declared
        target, up to 300; single columns where there is but one.

    Raises
    ------
    UsageError
        If the workload names a column that is not modelled.

    Notes
    -----
    ``workload.error`` is (1/|W|) Σ w ‖real shares - synthetic shares‖₁. Its interval covers as
    that of :mod:`benchmarks.marginals` does.
    """
    if workload is None:
        d = len(tables.columns)
        chosen = subsets(d, min(2, d), MOST_PAIRS, rng) + target_triples(tables, MOST_TRIPLES, rng)
        weights = np.ones(len(chosen))
    else:
        chosen = workload.places(tables)
        weights = np.array(workload.weights) if workload.weights else np.ones(len(chosen))
    others = references(tables, rng)
    counter = Counter(
        {
            "fit": tables.fit,
            "synthetic": tables.synthetic,
            "pool": tables.holdout,
            **others,
        },
        sizes=tables.sizes,
    )
    value, floor = np.empty(len(chosen)), np.empty(len(chosen))
    beside = {name: np.empty(len(chosen)) for name in others}
    real_sides, made_sides = [], []
    for k, places in enumerate(chosen):
        marginal = counter.marginal(places)
        fit, synthetic = marginal.shares("fit"), marginal.shares("synthetic")
        scale = 2.0 * weights[k]
        value[k] = scale * total_variation(fit, synthetic)
        floor[k] = scale * pooled_floor(marginal, "pool", len(tables.synthetic))
        for name in others:
            beside[name][k] = scale * total_variation(fit, marginal.shares(name))
        left = marginal.shares_left_out("fit")
        real_sides.append(scale * total_variation(left, synthetic))
        made_sides.append(scale * total_variation(marginal.shares_left_out("synthetic"), fit))
    metric = Replicated(whole=value, sides=(np.array(real_sides).T, np.array(made_sides).T)).metric(
        "workload.error",
        mean,
        floor=floor,
        references=beside,
        landmark="independent",
        n=min(len(tables.fit), len(tables.synthetic)),
        bounds=(0.0, 2.0 * float(weights.mean())),
    )
    order = np.argsort(floor - value, kind="stable")[:_SHOWN]
    worst = tuple(
        Worst(columns=tables.names(chosen[k]), value=float(value[k]), floor=float(floor[k]))
        for k in order
    )
    return Section(metrics=(metric,), worst={"workload": worst})
