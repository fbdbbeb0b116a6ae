"""From figures of single columns or marginals to metrics with an interval.

A family measures many items: columns, marginals, queries. It hands over the figure of each, for
the whole tables and with one group left out of either; what summarises the items (a mean, a
percentile) summarises the replicates as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.jackknife import interval
from benchmarks.report import Direction, Metric, Tier

FloatArray = npt.NDArray[np.float64]
Summary = Callable[[FloatArray], FloatArray]


def mean(values: FloatArray) -> FloatArray:
    """Return the mean over the last axis."""
    return values.mean(axis=-1)


def high(values: FloatArray) -> FloatArray:
    """Return the 95th percentile over the last axis."""
    return np.quantile(values, 0.95, axis=-1)


def most(values: FloatArray) -> FloatArray:
    """Return the maximum over the last axis."""
    return values.max(axis=-1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Replicated:
    """Figures of many items.

    Parameters
    ----------
    whole : ndarray of float, shape (n_items,)
        Of the whole tables.
    sides : tuple of ndarray of float, shape (n_groups, n_items)
        With one group left out of one table; one array per table.
    """

    whole: FloatArray
    sides: tuple[FloatArray, ...]

    def metric(
        self,
        name: str,
        of: Summary,
        *,
        floor: FloatArray | float,
        references: Mapping[str, FloatArray],
        landmark: str | None,
        n: int,
        direction: Direction = "lower",
        bounds: tuple[float, float] = (0.0, 1.0),
        tier: Tier = "A",
    ) -> Metric:
        """Summarise the items.

        Parameters
        ----------
        name : str
            Name of the metric.
        of : callable
            Summary over the last axis.
        floor : ndarray of float, shape (n_items,), or float
            Floors of the items, summarised alike; or that of the metric.
        references : mapping of str to ndarray of float, shape (n_items,)
            Figures of other tables.
        landmark : str or None
            The reference that stands for no skill.
        n : int
            Rows that the figure rests on.
        direction : {"lower", "higher"}
            Which way is better.
        bounds : pair of float
            Where the figure can lie.
        tier : {"A", "B"}
            Whether a release is judged by it.
        """
        value = float(of(self.whole))
        low, top = interval(value, *(of(side) for side in self.sides), bounds=bounds)
        return Metric(
            name=name,
            value=value,
            direction=direction,
            floor=float(of(floor)) if isinstance(floor, np.ndarray) else floor,
            references={label: float(of(figures)) for label, figures in references.items()},
            landmark=landmark,
            ci_low=low,
            ci_high=top,
            n=n,
            tier=tier,
        )
