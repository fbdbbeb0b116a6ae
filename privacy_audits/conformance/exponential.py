"""Exponential mechanism: exact ratios of its probabilities, and draws that follow them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import logsumexp

from dpsynth.errors import UsageError
from privacy_audits.conformance.result import ALPHA, Conformance

T = TypeVar("T")
FloatArray = npt.NDArray[np.float64]

_LEAST_EXPECTED = 10.0


def exponential_ratios(
    log_probabilities: Callable[[T], npt.ArrayLike],
    pairs: Iterable[tuple[T, T]],
    *,
    epsilon: float,
    tolerance: float = 1e-9,
) -> Conformance:
    """Return the widest range of log-probability ratios over the declared one. Nothing is drawn.

    Parameters
    ----------
    log_probabilities : callable
        From a table to the logarithm of every candidate's probability, shape (n_candidates,), up
        to a constant. Everything that was released before stands still.
    pairs : iterable of pairs
        Neighbouring tables. They should raise one candidate while they lower another: a query that
        moves all candidates alike hides a wrong sensitivity.
    epsilon : float
        Declared bounded range of one selection; 0 if none was booked.
    tolerance : float
        Relative excess that is put down to rounding.

    Notes
    -----
    The range max - min over candidates of log p(c|D) - log p(c|D') bounds the largest ratio itself,
    since both sides sum to 1, and it is what :class:`dpsynth.privacy.Exponential` declares. A
    candidate that is possible on one side only makes it infinite.

    References
    ----------
    McSherry and Talwar, "Mechanism Design via Differential Privacy", FOCS 2007.
    Dong, Durfee, Rogers, "Optimal Differential Privacy Composition for Exponential Mechanisms",
    arXiv 1909.13830 (bounded range).
    """
    worst = max((_range(log_probabilities(a), log_probabilities(b)) for a, b in pairs), default=0.0)
    return Conformance(
        name="exponential ratios",
        statistic=worst / epsilon if epsilon else float("inf") if worst else 0.0,
        threshold=1 + tolerance,
        meaning="range of the log-probability ratios over the declared ε of one selection",
    )


def _range(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        return float("inf")
    possible = np.isfinite(a)
    if not np.array_equal(possible, np.isfinite(b)) or not possible.any():
        return float("inf")
    return float(np.ptp(a[possible] - b[possible]))


def selection_frequencies(
    select: Callable[[], int],
    log_probabilities: npt.ArrayLike,
    *,
    rounds: int,
    alpha: float = ALPHA,
) -> Conformance:
    """Compare which candidates are drawn with the probabilities that the mechanism states.

    Parameters
    ----------
    select : callable
        Number of the candidate that one selection draws, on one table.
    log_probabilities : array, shape (n_candidates,)
        What the mechanism states on that table, up to a constant.
    rounds : int
        Selections to draw.
    alpha : float
        Chance of a false alarm.

    Notes
    -----
    Pearson's chi-square; candidates that are expected fewer than ten times count as one.
    """
    stated = np.asarray(log_probabilities, dtype=np.float64)
    expected = np.exp(stated - logsumexp(stated)) * rounds
    observed = np.bincount([select() for _ in range(rounds)], minlength=expected.size)
    if observed.size > expected.size:
        raise UsageError("a candidate was drawn that has no stated probability.")
    impossible = bool(observed[expected == 0].any())
    rare = expected < _LEAST_EXPECTED
    if rare.any() and (~rare).any() and expected[rare].sum() < _LEAST_EXPECTED:
        # Too few even together: they join the rarest of the others.
        rare[np.flatnonzero(~rare)[np.argmin(expected[~rare])]] = True
    cells = [_merged(part.astype(float), rare) for part in (observed, expected)]
    if cells[1].size < 2:
        raise UsageError("too few draws, or too certain a choice, for a histogram.")
    statistic = float(np.sum((cells[0] - cells[1]) ** 2 / cells[1]))
    return Conformance(
        name="selection frequencies",
        statistic=statistic,
        p_value=0.0 if impossible else float(stats.chi2.sf(statistic, cells[1].size - 1)),
        threshold=alpha,
        meaning="Pearson's chi-square; draws by other probabilities have other ratios",
    )


def _merged(counts: FloatArray, rare: npt.NDArray[np.bool_]) -> FloatArray:
    return np.append(counts[~rare], counts[rare].sum()) if rare.any() else counts
