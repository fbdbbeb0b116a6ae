"""Density and coverage, α-precision and β-recall, of points in a scaled space.

Does the table fill the room that people fill, and no other? Rows become points
(:mod:`benchmarks.encoding`), and what falls into balls around them is counted. Exploratory: in many
columns all points are far from each other, a distance weighs columns by how widely their range was
declared, and nothing here says *what* is wrong. Real rows are the **holdout**, since a generator
that copies would look best beside the fitted rows; the floor is what as many fitted rows give.

Notes
-----
Let r_i be the distance of real point i to its k-th nearest other real point.

*Density* is the mean over synthetic points of the number of balls B(i, r_i) that hold them, over k:
1 on average for a perfect table. More is no better: synthetic points crowd where real ones do. It
is read beside *coverage*, the share of balls that hold a synthetic point.

*α-precision* P(α) is the share of synthetic points within the ball around the real mean that holds
a share α of the real points. *β-recall* R(β) is the share of real points whose nearest synthetic
point lies within r_i, and within the ball around the synthetic mean that holds a share β of the
synthetic ones; the nearest of all is taken, not the nearest within that ball, so that R(β) is about
β for a perfect table. Reported is 1 - 2 ∫ |P(α) - α| dα, and the same of R.

References
----------
Naeem, Oh, Uh, Choi and Yoo 2020, "Reliable fidelity and diversity metrics for generative models".
Alaa, van Breugel, Saveliev and van der Schaar 2022, "How faithful is your synthetic data?".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks import jackknife
from benchmarks.discretise import Conformed, Tables
from benchmarks.encoding import Encoding
from benchmarks.report import Metric, Section

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Figures = dict[str, float]

MOST_ROWS = 4_000
"""Rows of a side: all distances between two sides are held at once."""
NEIGHBOURS = 5

LEVELS = np.arange(1, 40) / 40
"""Where P(α) and R(β) are compared with α and β."""

_DECIMALS = 10
"""Squared distances are rounded to these, so that equal rows lie at distance 0 exactly."""

_BOUNDS = {
    "density": (0.0, np.inf),
    "coverage": (0.0, 1.0),
    "alpha_precision": (0.0, 1.0),
    "beta_recall": (0.0, 1.0),
}


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare the shape of synthetic with that of held-out rows.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws rows, and their order, which decides between points that are equally near.

    Notes
    -----
    Intervals leave out groups of units of either side and compute everything anew.
    """
    n = min(len(tables.synthetic), len(tables.fit), len(tables.holdout), MOST_ROWS)
    if n <= NEIGHBOURS:
        return Section()
    encoding = Encoding(tables)
    holdout = _drawn(tables.holdout, n, rng)
    real = encoding.matrix(holdout)
    around = _squared(real, real)
    np.fill_diagonal(around, np.inf)
    sides = {
        name: _drawn(table, n, rng)
        for name, table in (
            ("synthetic", tables.synthetic),
            ("floor", tables.fit),
            ("independent", tables.independent),
        )
    }
    found: dict[str, Figures] = {}
    ends: dict[str, tuple[float, float]] = {}
    for name, side in sides.items():
        points = encoding.matrix(side)
        cloud = Cloud(real, points, around, _squared(real, points))
        found[name] = cloud.figures()
        if name == "synthetic":
            ends = _intervals(cloud, found[name], holdout.groups, side.groups)
    return Section(
        metrics=tuple(
            Metric(
                name=f"manifold.{name}",
                value=found["synthetic"][name],
                floor=found["floor"][name],
                references={
                    "independent": found["independent"][name],
                    "holdout": found["floor"][name],
                },
                landmark="independent",
                direction="higher",
                ci_low=ends[name][0],
                ci_high=ends[name][1],
                n=n,
                tier="B",
            )
            for name in _BOUNDS
        )
    )


class Cloud:
    """Synthetic points among real ones.

    Parameters
    ----------
    real, synthetic : ndarray of float, shapes (n_real, width) and (n_synthetic, width)
        Points. The two numbers of rows need not be the same.
    around : ndarray of float, shape (n_real, n_real)
        Squared distances between real points, infinite on the diagonal.
    across : ndarray of float, shape (n_real, n_synthetic)
        Squared distances of real to synthetic points.
    """

    def __init__(
        self, real: FloatArray, synthetic: FloatArray, around: FloatArray, across: FloatArray
    ) -> None:
        self._real, self._synthetic = real, synthetic
        self._around, self._across = around, across
        self._radius = _kth(around)
        self._inside = across <= self._radius[:, None]
        self._nearest = across.argmin(axis=1)

    def figures(self) -> Figures:
        """Return the four figures of all points."""
        n, m = self._across.shape
        return self._of(
            np.arange(n), np.arange(m), self._inside.sum(axis=1), self._radius, self._nearest
        )

    def without_real(self, group: BoolArray) -> Figures:
        """Return the figures without the marked real points; ``group`` has shape (n_real,)."""
        kept = np.flatnonzero(~group)
        radius = self._radius[kept].copy()
        held = self._inside[kept].sum(axis=1)
        # Only a ball that reached a point of the group grows.
        reached = (self._around[np.ix_(kept, np.flatnonzero(group))] <= radius[:, None]).any(axis=1)
        grown = np.flatnonzero(reached)
        radius[grown] = _kth(self._around[np.ix_(kept[grown], kept)])
        held[grown] = (self._across[kept[grown]] <= radius[grown, None]).sum(axis=1)
        return self._of(kept, np.arange(self._across.shape[1]), held, radius, self._nearest[kept])

    def without_synthetic(self, group: BoolArray) -> Figures:
        """Return the figures without the marked synthetic points, shape (n_synthetic,)."""
        kept, gone = np.flatnonzero(~group), np.flatnonzero(group)
        held = self._inside.sum(axis=1) - self._inside[:, gone].sum(axis=1)
        nearest = self._nearest.copy()
        lost = np.flatnonzero(group[nearest])
        nearest[lost] = kept[self._across[np.ix_(lost, kept)].argmin(axis=1)]
        return self._of(np.arange(len(held)), kept, held, self._radius, nearest)

    def _of(
        self,
        real: IntArray,
        synthetic: IntArray,
        held: IntArray,
        radius: FloatArray,
        nearest: IntArray,
    ) -> Figures:
        """Return the figures of chosen points.

        ``held``, ``radius`` and ``nearest`` are of the chosen real points, in their order;
        ``nearest`` counts all synthetic points.
        """
        near = self._across[real, nearest] <= radius
        ours, theirs = self._synthetic[synthetic], self._real[real]
        inner = _from(theirs, theirs.mean(axis=0))
        made = _from(ours, theirs.mean(axis=0))
        middle = ours.mean(axis=0)
        spread = np.quantile(_from(ours, middle), LEVELS)
        reached = _from(self._synthetic[nearest], middle)
        return {
            "density": float(held.sum() / (NEIGHBOURS * len(synthetic))),
            "coverage": float(np.mean(held > 0)),
            "alpha_precision": _along([np.mean(made <= r) for r in np.quantile(inner, LEVELS)]),
            "beta_recall": _along([np.mean(near & (reached <= r)) for r in spread]),
        }


def _intervals(
    cloud: Cloud, whole: Figures, real: IntArray, synthetic: IntArray
) -> dict[str, tuple[float, float]]:
    without = [
        [
            leave(groups == group)
            for group in np.unique(groups)
            if (groups != group).sum() > NEIGHBOURS
        ]
        for leave, groups in ((cloud.without_real, real), (cloud.without_synthetic, synthetic))
    ]
    return {
        name: jackknife.interval(
            whole[name],
            *(np.array([replicate[name] for replicate in side]) for side in without),
            bounds=bounds,
        )
        for name, bounds in _BOUNDS.items()
    }


def _drawn(table: Conformed, n: int, rng: np.random.Generator) -> Conformed:
    """Return ``n`` different rows in random order."""
    return table.take(rng.permutation(len(table))[:n])


def _squared(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return squared distances, shape (len(one), len(other))."""
    out = one @ other.T
    out *= -2.0
    out += (one**2).sum(axis=1)[:, None]
    out += (other**2).sum(axis=1)[None, :]
    return np.round(np.maximum(out, 0.0, out=out), _DECIMALS, out=out)


def _kth(squared: FloatArray) -> FloatArray:
    """Return the squared distance to the k-th nearest, shape (n_rows,)."""
    if not len(squared):
        return np.empty(0)
    return np.partition(squared, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]


def _from(points: FloatArray, centre: FloatArray) -> FloatArray:
    return np.round(((points - centre) ** 2).sum(axis=1), _DECIMALS)


def _along(shares: Sequence[np.floating]) -> float:
    """Return 1 - 2 ∫ |share - level|, the integral as the mean over levels."""
    away = np.abs(np.asarray(shares, dtype=np.float64) - LEVELS)
    return 1.0 - 2.0 * float(away.mean())
