"""Noise: its scale, its law, its grid, and that no draw is used twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from dpsynth.errors import UsageError
from privacy_audits.conformance.result import ALPHA, Conformance

FloatArray = npt.NDArray[np.float64]
Release = Callable[[FloatArray], npt.ArrayLike]
"""From exact values, shape (n,), to noisy ones of the same shape."""

_LEAST_INTEGER_SIGMA = 1.0
_LEAST_EXPECTED = 10.0
_ON_GRID = 1e-6


def _noise(release: Release, query: npt.ArrayLike) -> FloatArray:
    exact = np.asarray(query, dtype=np.float64)
    noisy = np.asarray(release(exact.copy()), dtype=np.float64)
    if noisy.shape != exact.shape:
        raise UsageError("the release has another shape than the query.")
    return noisy - exact


def noise_scale(
    release: Release, query: npt.ArrayLike, *, sigma: float, alpha: float = ALPHA
) -> Conformance:
    """Compare the sum of squared noise with the declared scale, two-sided.

    Parameters
    ----------
    release : callable
        Mechanism under test.
    query : array, shape (n,)
        Exact values: zeros see noise that is left out, large values see noise that depends on them.
    sigma : float
        Declared standard deviation of every coordinate.
    alpha : float
        Chance of a false alarm.

    Notes
    -----
    Σz²/σ² is chi-square with n degrees of freedom. The discrete Gaussian's variance is σ² up to
    4π² exp(-2π²σ²) of it, which is 2e-7 at σ = 1; smaller σ are refused for integers.
    """
    noise = _noise(release, query)
    if sigma < _LEAST_INTEGER_SIGMA and np.array_equal(noise, np.rint(noise)) and noise.any():
        raise UsageError("integer noise below sigma = 1 has another variance than sigma squared.")
    statistic = float(np.sum((noise / sigma) ** 2))
    law = stats.chi2(noise.size)
    return Conformance(
        name="noise scale",
        statistic=float(np.sqrt(statistic / noise.size)),
        p_value=float(min(1.0, 2 * min(law.cdf(statistic), law.sf(statistic)))),
        threshold=alpha,
        meaning="measured over declared standard deviation; too little noise is a larger ε",
    )


def noise_law(
    release: Release,
    query: npt.ArrayLike,
    *,
    sigma: float,
    integer: bool,
    alpha: float = ALPHA,
) -> Conformance:
    """Compare the histogram of the noise with its law.

    Parameters
    ----------
    release, query, sigma, alpha
        As in :func:`noise_scale`.
    integer : bool
        Discrete Gaussian on the integers instead of a normal.

    Notes
    -----
    Pearson's chi-square over bins of an eighth of σ, and the largest absolute draw, whose law is
    known as well: it sees noise that was cut off. The smaller p-value counts twice.
    """
    noise = _noise(release, query)
    if integer and not np.array_equal(noise, np.rint(noise)):
        return _law_result(float("inf"), 0.0, alpha)
    edges, below = _integer_law(sigma) if integer else _normal_law(sigma)
    expected, inner = _bins(edges, below, noise.size)
    observed = np.histogram(noise, bins=np.concatenate([[-np.inf], inner, [np.inf]]))[0]
    statistic = float(np.sum((observed - expected) ** 2 / expected))
    shape = float(stats.chi2.sf(statistic, expected.size - 1))
    extreme = float(np.max(np.abs(noise)))
    if integer:
        at_most = _all_within(extreme + 0.5, noise.size, edges, below)
        less = _all_within(extreme - 0.5, noise.size, edges, below)
    else:
        at_most = less = float((1 - 2 * stats.norm.sf(extreme / sigma)) ** noise.size)
    return _law_result(statistic, min(1.0, 2 * shape, 4 * at_most, 4 * (1 - less)), alpha)


def _law_result(statistic: float, p_value: float, alpha: float) -> Conformance:
    return Conformance(
        name="noise law",
        statistic=statistic,
        p_value=p_value,
        threshold=alpha,
        meaning="Pearson's chi-square; another law than the booked one has another ε",
    )


def _normal_law(sigma: float) -> tuple[FloatArray, FloatArray]:
    """Return edges and the probability below each."""
    edges = np.linspace(-8.0, 8.0, 129)
    return edges * sigma, stats.norm.cdf(edges)


def _integer_law(sigma: float) -> tuple[FloatArray, FloatArray]:
    reach = int(np.ceil(12 * sigma)) + 1
    support = np.arange(-reach, reach + 1).astype(np.float64)
    weights = np.exp(-0.5 * (support / sigma) ** 2)
    return support + 0.5, np.cumsum(weights) / weights.sum()


def _all_within(reach: float, draws: int, edges: FloatArray, below: FloatArray) -> float:
    """Return the chance that all draws lie between ``-reach`` and ``reach``, both edges."""
    low, high = np.interp([-reach, reach], edges, below)
    return float((high - low) ** draws)


def _bins(edges: FloatArray, below: FloatArray, draws: int) -> tuple[FloatArray, FloatArray]:
    """Merge bins from the left until each is wide enough; return counts and inner edges."""
    kept: list[int] = []
    mass = 0.0
    least = _LEAST_EXPECTED / draws
    for index, total in enumerate(below.tolist()):
        if total - mass >= least and 1 - total >= least:
            kept.append(index)
            mass = total
    if not kept:
        raise UsageError("too few draws for a histogram.")
    masses = np.diff(np.concatenate([[0.0], below[kept], [1.0]]))
    return masses * draws, edges[kept]


def noise_grid(release: Release, query: npt.ArrayLike, *, step: float) -> Conformance:
    """Count released values that do not lie on the grid, whatever the query.

    Parameters
    ----------
    release, query
        As in :func:`noise_scale`.
    step : float
        Grid step.
    """
    released = np.asarray(release(np.asarray(query, dtype=np.float64).copy()), dtype=np.float64)
    steps = released / step
    return Conformance(
        name="noise grid",
        statistic=float(np.sum(~(np.abs(steps - np.rint(steps)) <= _ON_GRID))),
        threshold=0.0,
        meaning="values off the grid; their low-order bits may tell the exact value",
    )


def noise_independence(
    release: Release, query: npt.ArrayLike, *, alpha: float = ALPHA
) -> Conformance:
    """Correlate neighbouring draws of one release, and two releases with each other.

    Parameters
    ----------
    release, query, alpha
        As in :func:`noise_scale`; the release is called twice.

    Notes
    -----
    A correlation r of n independent pairs is normal with variance 1/n. A generator that is seeded
    afresh gives r = 1 between two releases.
    """
    first, second = _noise(release, query), _noise(release, query)
    pairs = [(first[:-1], first[1:]), (second[:-1], second[1:]), (first, second)]
    worst = max((_standardised(a, b) for a, b in pairs), key=lambda z: np.inf if z != z else z)
    p_value = 0.0 if worst != worst else min(1.0, len(pairs) * 2 * float(stats.norm.sf(worst)))
    return Conformance(
        name="noise independence",
        statistic=worst,
        p_value=p_value,
        threshold=alpha,
        meaning="largest correlation in standard errors; noise that repeats can be subtracted",
    )


def _standardised(a: FloatArray, b: FloatArray) -> float:
    """Return |r| √n, or NaN where a side does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return abs(float(a @ b)) / scale * float(np.sqrt(a.size)) if scale else float("nan")
