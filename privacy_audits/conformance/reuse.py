"""Keys: no two primitives, steps or fits ever use the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import signal, stats

from dpsynth.errors import UsageError
from privacy_audits.conformance.result import ALPHA, Conformance

FloatArray = npt.NDArray[np.float64]

_LEAST_OVERLAP = 64


def noise_reuse(noises: Sequence[npt.ArrayLike], *, alpha: float = ALPHA) -> Conformance:
    """Correlate every pair of noises at every shift.

    Parameters
    ----------
    noises : sequence of array
        Released minus exact values of each primitive: of one fit, and of a second fit under the
        same public settings, seed included if that is public. Each has at least 128 values.
    alpha : float
        Chance of a false alarm of all pairs and shifts together (Bonferroni).

    Notes
    -----
    Two independent vectors of which one is spherically symmetric have a correlation r about 0 such
    that r sqrt((m - 1) / (1 - r²)) is Student's t with m - 1 degrees of freedom, whatever the
    other: no approximation for Gaussian noise. Each noise is cut in two halves, so that noise which
    repeats within one primitive is seen as well. Noise that was made from the same random bits by
    another sampler is not correlated and is **not** seen.
    """
    parts = [half for noise in noises for half in _halves(np.asarray(noise, dtype=np.float64))]
    worst, tests = np.inf, 0
    for a, b in combinations(parts, 2):
        p_values = _shifted(a, b)
        tests += p_values.size
        worst = min(worst, float(p_values.min()))
    if not tests:
        raise UsageError("one noise cannot be compared with itself: give several.")
    return Conformance(
        name="noise reuse",
        statistic=float(np.log10(max(worst, 1e-300))),
        p_value=min(1.0, tests * worst),
        threshold=alpha,
        meaning="log10 of the least p-value of any pair and shift; noise that was used twice can "
        "be subtracted",
    )


def _halves(noise: FloatArray) -> tuple[FloatArray, FloatArray]:
    flat = noise.ravel()
    if flat.size < 2 * _LEAST_OVERLAP:
        raise UsageError("a noise is too short to be compared at every shift.")
    return flat[: flat.size // 2], flat[flat.size // 2 :]


def _shifted(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the two-sided p-value of the correlation at every shift with enough overlap."""
    products = signal.correlate(a, b, mode="full", method="fft")
    overlap = signal.correlate(np.ones_like(a), np.ones_like(b), mode="full", method="direct")
    squares = [
        signal.correlate(a**2, np.ones_like(b), mode="full", method="direct"),
        signal.correlate(np.ones_like(a), b**2, mode="full", method="direct"),
    ]
    wide = np.rint(overlap) >= _LEAST_OVERLAP
    freedom = overlap[wide] - 1
    scale = np.sqrt(squares[0][wide] * squares[1][wide])
    if (scale == 0).any():
        return np.zeros(1)
    r = np.clip(products[wide] / scale, -1 + 1e-15, 1 - 1e-15)
    return 2 * stats.t.sf(np.abs(r) * np.sqrt(freedom / (1 - r**2)), freedom)
