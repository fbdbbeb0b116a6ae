"""How large a sample of the fitted rows errs as much as the synthetic table.

A yard-stick that needs no statistics to be read: an agency that hands out a sample of its rows
instead of a synthetic table makes errors too. Note what a perfect table would reach: a fresh sample
of as many people, measured against the fitted rows, errs as much as a third of those rows do.

References
----------
SDNist (National Institute of Standards and Technology) compares with subsamples of 1, 5, 10 ... 90
percent; here the expectation takes the place of the draws. De Moivre's closed form of the binomial
mean deviation: Diaconis and Zabell 1991, "Closed form summation for classical distributions".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlog1py, xlogy

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_STEPS = 60


class SubsampleCurve:
    """Mean total variation between rows and a random part of them, over many marginals.

    Parameters
    ----------
    n : int
        Rows.

    Notes
    -----
    Each of the ``c`` rows of a cell is in the part with probability ``q``, so that the cell's
    expected error is the mean absolute deviation of a binomial count, in closed form, over ``q n``.
    The size of the part is fixed: √((1 - c/n) n/(n - 1)) makes the variance hypergeometric.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._cells = np.zeros(n + 1)
        self._marginals = 0

    def __repr__(self) -> str:
        return f"SubsampleCurve({self._marginals} marginals)"

    def add(self, counts: IntArray) -> None:
        """Add the counts of one marginal, shape (n_cells,)."""
        self._cells += np.bincount(counts, minlength=self._n + 1)
        self._marginals += 1

    def error(self, shares: FloatArray) -> FloatArray:
        """Return the expected error of parts of the given shares in (0, 1], shape (n_shares,)."""
        counts = np.flatnonzero(self._cells)
        counts = counts[counts > 0]
        q = np.asarray(shares, dtype=np.float64)[:, None]
        c = counts.astype(np.float64)
        m = np.minimum(np.floor(c * q) + 1.0, c)
        log_mass = gammaln(c + 1) - gammaln(m + 1) - gammaln(c - m + 1)
        log_mass = log_mass + xlogy(m, q) + xlog1py(c - m + 1.0, -q)
        deviation = 2.0 * m * np.exp(log_mass)
        deviation *= np.sqrt((1.0 - c / self._n) * self._n / max(1, self._n - 1))
        total = deviation @ self._cells[counts]
        return total / (2.0 * self._n * q[:, 0] * max(1, self._marginals))

    def share(self, errors: FloatArray) -> FloatArray:
        """Return the share whose part errs as much, in [0, 1].

        Parameters
        ----------
        errors : ndarray of float, shape (n_errors,)
            Mean total variations. 0 gives 1: all rows. More than a single row's gives 0.
        """
        half = np.geomspace(min(0.5, 1.0 / self._n), 0.5, _STEPS)
        shares = np.concatenate([half, 1.0 - half[::-1][1:], [1.0]])
        falling = np.minimum.accumulate(self.error(shares))
        found = np.interp(errors, falling[::-1], shares[::-1], right=0.0)
        return np.where(errors <= 0.0, 1.0, found)
