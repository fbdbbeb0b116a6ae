"""Density attacks: where the released table is denser than the population.

Kernels are typed: normal ones on numbers, Aitchison and Aitken's on levels.

References
----------
van Breugel et al., "Membership inference attacks against synthetic data through overfitting
detection" (DOMIAS), AISTATS 2023.
Ward et al., generative likelihood ratio attack (Gen-LRA); here in closed form: with a fixed
bandwidth, adding one row to a kernel estimate changes it by one term.
Aitchison and Aitken, Biometrika 63 (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from privacy_audits.attacks.coding import Block
from privacy_audits.attacks.distance import Float32, Metric, squared_distances

if TYPE_CHECKING:
    from privacy_audits.attacks.comparison import Comparison

NEIGHBOURS = 20
"""Released rows whose likelihood a target may explain."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kernel:
    """Product kernel: log K(a, b) = constant − ½ · squared distance under a metric.

    Parameters
    ----------
    metric : Metric
        Weights that make the squared distance twice the loss of log density.
    constant : float
        Log density of two equal rows.
    """

    metric: Metric
    constant: float

    @classmethod
    def of(
        cls,
        *,
        numeric: npt.NDArray[np.intp],
        discrete: npt.NDArray[np.intp],
        levels: npt.NDArray[np.int64],
        rows: int,
    ) -> Kernel:
        """Return the kernel for some columns.

        Parameters
        ----------
        numeric, discrete : ndarray of int
            Places of the columns.
        levels : ndarray of int64
            Number of levels of every discrete column.
        rows : int
            Rows of the estimate: the bandwidth is half of n^(−1/(d+4)), the chance of another
            level its square, at most that of a uniform draw.
        """
        d = len(numeric) + len(discrete)
        width = 0.5 * rows ** (-1 / (d + 4))
        counts = np.maximum(levels[discrete], 2).astype(np.float64)
        other = np.minimum(width**2, (counts - 1) / counts)
        weights = 2 * (np.log1p(-other) - np.log(other / (counts - 1)))
        constant = -len(numeric) * np.log(width * np.sqrt(2 * np.pi)) + np.log1p(-other).sum()
        metric = Metric(
            numeric=numeric,
            discrete=discrete,
            numeric_weight=1 / width**2,
            discrete_weights=weights.astype(np.float32),
        )
        return cls(metric=metric, constant=float(constant))

    def log_density(self, points: Block, rows: Block) -> FloatArray:
        """Return the log of the kernel estimate from ``rows`` at ``points``."""
        out = np.empty(len(points))
        for place, squares in squared_distances(points, rows, self.metric):
            out[place] = self._log_mean(squares)
        return out

    def _log_mean(self, squares: Float32) -> FloatArray:
        """Return the log of the mean kernel of each row; the buffer is used up."""
        least = squares.min(axis=1)
        np.subtract(least[:, None], squares, out=squares)
        np.multiply(squares, np.float32(0.5), out=squares)
        np.exp(squares, out=squares)
        return self.constant - 0.5 * least.astype(np.float64) + np.log(squares.mean(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class KernelDensities:
    """Kernel estimates at n targets.

    Parameters
    ----------
    synthetic, reference : ndarray, shape (n,)
        Log densities of the released table and of the reference rows.
    gains : ndarray, shape (n,)
        What each target, added to the reference rows, adds to the log likelihood of the released
        rows nearest to it.
    """

    synthetic: FloatArray
    reference: FloatArray
    gains: FloatArray


def densities(
    synthetic: Block, reference: Block, targets: Block, *, kernel: Kernel, neighbours: int
) -> KernelDensities:
    """Estimate all densities that the attacks below need.

    Parameters
    ----------
    synthetic, reference, targets : Block
        Rows of equal coding.
    kernel : Kernel
        Bandwidths.
    neighbours : int
        Released rows nearest to a target, under the kernel, whose likelihood counts.
    """
    released = kernel.log_density(synthetic, reference)
    count = min(neighbours, len(synthetic))
    at_synthetic, gains = np.empty(len(targets)), np.empty(len(targets))
    log_n = np.log(len(reference))
    for place, squares in squared_distances(targets, synthetic, kernel.metric):
        near = np.argpartition(squares, count - 1, axis=1)[:, :count]
        closeness = kernel.constant - 0.5 * np.take_along_axis(squares, near, axis=1)
        base = released[near]
        with_target = np.logaddexp(log_n + base, closeness) - np.log(len(reference) + 1)
        gains[place] = (with_target - base).sum(axis=1)
        at_synthetic[place] = kernel._log_mean(squares)
    return KernelDensities(
        synthetic=at_synthetic,
        reference=kernel.log_density(targets, reference),
        gains=gains,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Domias:
    """Log ratio of the released density to the reference density at each target."""

    name: ClassVar[str] = "domias"

    def scores(self, comparison: Comparison) -> FloatArray:
        """Return one score per target; higher means member."""
        return np.mean([d.synthetic - d.reference for d in comparison.densities], axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenLRA:
    """Gain in likelihood of the nearest released rows if the target joins the reference rows."""

    name: ClassVar[str] = "gen-lra"

    def scores(self, comparison: Comparison) -> FloatArray:
        """Return one score per target; higher means member."""
        return np.mean([d.gains for d in comparison.densities], axis=0)
